"""From a proposal to enough signatures, and to a revocation: what approvers do."""
