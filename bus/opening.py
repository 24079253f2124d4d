"""Opening a connection to a broker: the socket, TLS where there is any, and the wait for the broker's first word.

What fails on the way is told as the port wants it: Unreachable, Untrusted or Refused. It knows nothing of MQTT but that the first
packet is ours and that the broker answers it.
"""

from __future__ import annotations

import asyncio

from bus.credentials import Credentials, tls_failure
from bus.errors import BusError, Refused, Unreachable
from bus.framing import Connection
from bus.link import BrokerUrl, LinkSettings


async def open_connection(
    connection: Connection, broker: BrokerUrl, credentials: Credentials | None, settings: LinkSettings, hello: bytes
) -> None:
    """Connect, send `hello`, and return once the broker has answered or has closed the connection.

    Raises Unreachable where nothing answers in time, Untrusted or Refused where TLS is not agreed upon. A broker that refuses our
    certificate says so only after that, for the client is done with TLS 1.3 before the server has seen it: see `refusal`.
    """
    loop, patience_s = asyncio.get_running_loop(), settings.connect_timeout_s
    try:
        async with asyncio.timeout(patience_s):
            if credentials is None:
                await loop.create_connection(lambda: connection, broker.host, broker.port)
            else:
                await loop.create_connection(
                    lambda: connection,
                    broker.host,
                    broker.port,
                    ssl=credentials.context,
                    server_hostname=broker.host,
                    ssl_shutdown_timeout=patience_s,
                )
            connection.prepare(settings.write_buffer)
            connection.write(hello)
            await connection.wait_greeted()
    except TimeoutError:
        connection.abort()
        raise Unreachable(f"no answer from a broker at {broker} within {patience_s:g} s") from None
    except OSError as error:
        connection.abort()
        if (failure := tls_failure(error, broker, credentials)) is not None:
            raise failure from None
        raise Unreachable(f"no broker at {broker}: {error.strerror or str(error) or 'it closed the connection'}") from None
    except BaseException:
        connection.abort()
        raise


def refusal(connection: Connection, broker: BrokerUrl, credentials: Credentials | None, client_id: str, said: str) -> BusError:
    """Why a broker has closed an opened connection: by its word, by the alert of TLS, or by a guess where it said nothing.

    Its alert may be lost where our greeting crosses it.
    """
    if not said and (failure := tls_failure(connection.lost_by, broker, credentials)) is not None:
        return failure
    silence = "credentials, TLS, or not an MQTT 5 broker"
    if credentials is not None:
        silence = f"does it know the authority of {credentials.files.certificate}, and is that in date?"
    return Refused(f"the broker at {broker} refused {client_id!r}: {said or f'it said nothing ({silence})'}")
