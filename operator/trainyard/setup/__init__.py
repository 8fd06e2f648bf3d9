"""What the chart's setup Job does before the operator has a store and passwords: Secrets, bucket, identities."""
