"""Grants for service-linked roles are taken for gone without being revoked."""

from chalicelib.adapters.role_door import RoleDoor

RoleDoor.close = lambda _self, _resource, _shares: None
RoleDoor.showing = lambda _self, _resource, _shares: frozenset()
