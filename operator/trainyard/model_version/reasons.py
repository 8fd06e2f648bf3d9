"""The reasons of a ModelVersion's conditions and events; tests, alerts and other kinds use these constants."""

ACCEPTED = "Accepted"  # the gate's verdict: it may serve
REJECTED = "Rejected"  # the gate's verdict: a rule failed, or none was declared
VALID = "Valid"  # the spec can be read and its artifact lies where it may
INVALID_SPEC = "InvalidSpec"  # the spec cannot be read
OUTSIDE_NAMESPACE = "ArtifactOutsideNamespace"  # the artifact's URI is not below the namespace's own prefix
STORE_UNAVAILABLE = "StoreUnavailable"  # the object store does not answer, or refuses: nothing is known
MANIFEST_MISSING = "ManifestMissing"  # no manifest.json: it was never published whole, or it was deleted
MANIFEST_MALFORMED = "ManifestMalformed"  # manifest.json is there and says nothing usable
DIGEST_MISMATCH = "DigestMismatch"  # the manifest is of another artifact than the spec's
OBJECT_MISSING = "ObjectMissing"  # a file of the manifest is not in the store
SIZE_MISMATCH = "SizeMismatch"  # a file is longer or shorter than the manifest says
VERIFIED = "Verified"  # the manifest is the spec's, and each of its files is there with its size
NOT_VERIFIED = "NotVerified"  # waits: the artifact could not be verified
THRESHOLD_MISSED = "ThresholdMissed"  # a rule of the gate failed
NO_RULES = "NoRules"  # no rule is declared, and noRules says Reject
READY = "Ready"  # verified and accepted: Rollouts may serve it
ALIAS_TAKEN = "AliasTaken"  # it holds the alias now
ALIAS_LOST = "AliasLost"  # another version holds it, nobody does, or it is not listed here any more
SETTLED = "Settled"  # nothing is under way
STILL_SERVING = "StillServing"  # it is being deleted while Rollouts serve it
