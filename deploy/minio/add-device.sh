#!/usr/bin/env bash
# A user of its own for a device, with its key: add-device.sh ALIAS BUCKET DEVICE > device.env
# The user's name, which is its access key, is the device's id: the one policy for all devices goes by it.
# Needs MinIO's client, with ALIAS set for an administrator.
set -euo pipefail
alias=$1 bucket=$2 device=$3
here=$(cd "$(dirname "$0")" && pwd)
secret=$(head -c 30 /dev/urandom | base64 | tr '+/' 'Aa')
policy=$(mktemp)
trap 'rm -f "$policy"' EXIT
sed "s/BUCKET/$bucket/" "$here/device-policy.json" >"$policy"
mc admin policy create "$alias" hemaloop-device "$policy" >&2
mc admin user add "$alias" "$device" "$secret" >&2
mc admin policy attach "$alias" hemaloop-device --user "$device" >&2
echo "AWS_ACCESS_KEY_ID=$device"
echo "AWS_SECRET_ACCESS_KEY=$secret"
