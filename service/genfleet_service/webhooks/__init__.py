"""Webhooks: the API's processes tell receivers how tasks ended, by the outbox that the store keeps (requirements 2.15)."""
