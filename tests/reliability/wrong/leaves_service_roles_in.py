"""Grants for service-linked roles are taken for gone without being revoked."""

from chalicelib.adapters.kms.role_grants import RoleGrants

RoleGrants.close = lambda _self, _resource, _shares: None
RoleGrants.showing = lambda _self, _resource, _shares: frozenset()
