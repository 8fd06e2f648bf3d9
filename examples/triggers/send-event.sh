#!/usr/bin/env bash
# Starts a run by an event from any CI job, without waiting for it: a CloudEvent in binary mode, proven by a Kubernetes
# token for audience trainyard. Sent again (same source and id) it is the same event: a job that is repeated starts no
# second run. Needs kubectl (as the ServiceAccount ci, or as somebody who may make tokens for it) and curl.
#
#   TRAINYARD_EVENTS=https://events.example.com NAMESPACE=default BUILD=4711 COMMIT=c0ffee ./send-event.sh
set -euo pipefail
token=$(kubectl -n "$NAMESPACE" create token ci --audience trainyard --duration 10m)
curl --silent --show-error --fail-with-body --retry 5 \
  "$TRAINYARD_EVENTS/events/$NAMESPACE/screening/ci" \
  --header @<(printf 'Authorization: Bearer %s' "$token") \
  --header 'Content-Type: application/json' \
  --header 'ce-specversion: 1.0' \
  --header 'ce-type: ci.build.finished' \
  --header "ce-source: https://ci.example.com/builds" \
  --header "ce-id: $BUILD" \
  --header "ce-time: $(date -u +%Y-%m-%dT%H:%M:%SZ)" \
  --data "{\"commit\": \"$COMMIT\", \"epochs\": ${EPOCHS:-20}}"
