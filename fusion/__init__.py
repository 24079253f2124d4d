"""The fusion core: align, gate, assign, combine, assess, alert, and the service that runs them on the bus."""
