"""The message bus: messages and their wire, topics, release, sessions, and MQTT 5 transports behind one port."""
