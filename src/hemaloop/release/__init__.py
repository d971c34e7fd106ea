"""The TUF repository: approvals that are signatures, and what the online keys may do."""
