#!/usr/bin/env bash
# Releases a version, waits until it is live, and prints the evidence if it does not get there.
#
#   release.sh ROLLOUT TARGET [NAMESPACE]
#
# It ends with the exit code of the plugin: 0 live, 1 put back, 2 wrong words, 3 too late, 4 waits for a person, 5 refused,
# 6 no cluster. The environment may say more:
#
#   TIMEOUT     how long to wait at most; 30m
#   TIDEGATE    how the plugin is called; "kubectl tidegate", or "kubectl-tidegate" where there is no kubectl
#   KUBECONFIG  which cluster, as kubectl takes it; without one ~/.kube/config, or the pod's service account
set -euo pipefail

if [[ $# -lt 2 || $# -gt 3 ]]; then
  echo "usage: ${0##*/} ROLLOUT TARGET [NAMESPACE]" >&2
  exit 2
fi
rollout=$1
target=$2
where=()
if [[ $# -eq 3 ]]; then
  where=(--namespace "$3")
fi

if [[ -z ${TIDEGATE:-} ]]; then
  if command -v kubectl >/dev/null; then
    TIDEGATE="kubectl tidegate"
  else
    TIDEGATE="kubectl-tidegate"
  fi
fi
read -r -a tidegate <<<"$TIDEGATE"

# kubectl ends with 1 where it finds no plugin, and 1 is to mean that the version failed.
if ! "${tidegate[@]}" version >&2; then
  echo "$TIDEGATE can't be run: is kubectl-tidegate in the PATH?" >&2
  exit 2
fi

code=0
"${tidegate[@]}" release "$rollout" --target "$target" --wait --timeout "${TIMEOUT:-30m}" --plain \
  ${where[@]+"${where[@]}"} || code=$?

case $code in
  0) ;;
  4)
    echo "$rollout waits for a person; nothing has failed, and traffic stays where it is. It says:"
    "${tidegate[@]}" explain "$rollout" --plain ${where[@]+"${where[@]}"} || true
    ;;
  1 | 3 | 5)
    # What can't be printed changes nothing about the outcome.
    echo "--- why"
    "${tidegate[@]}" explain "$rollout" --plain ${where[@]+"${where[@]}"} || true
    echo "--- earlier runs"
    "${tidegate[@]}" history "$rollout" -o json ${where[@]+"${where[@]}"} || true
    ;;
esac
exit "$code"
