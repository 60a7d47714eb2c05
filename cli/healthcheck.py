"""Is the service in this container ready? Exit 0 when /readyz says so: `python -m cli.healthcheck`, for Docker."""

import os
import sys
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

_TIMEOUT_S = 4.0


def main() -> int:
    """Ask /readyz on SCORER_HEALTH_PORT, else on SCORER_PORT, else on 8000."""
    port = os.environ.get("SCORER_HEALTH_PORT") or os.environ.get("SCORER_PORT") or "8000"
    # Never through a proxy that the environment names.
    opener = build_opener(ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{port}/readyz", timeout=_TIMEOUT_S):
            return 0
    except (URLError, OSError) as error:
        sys.stderr.write(f"port {port}: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
