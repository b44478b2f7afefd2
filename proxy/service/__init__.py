"""One gateway, put together: the data plane, the store, the file and the control API on one event loop."""

from proxy.service.gateway_service import Addresses, GatewayService, StartError
from proxy.service.options import ServiceOptions

__all__ = ["Addresses", "GatewayService", "ServiceOptions", "StartError"]
