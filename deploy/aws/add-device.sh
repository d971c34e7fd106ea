#!/usr/bin/env bash
# A user of its own for a device, with its key: add-device.sh BUCKET DEVICE > device.env
# The user's name is the device's id: the one policy for all devices goes by it. Needs the AWS CLI, as an administrator.
set -euo pipefail
bucket=$1 device=$2
here=$(cd "$(dirname "$0")" && pwd)
account=$(aws sts get-caller-identity --query Account --output text)
policy=arn:aws:iam::$account:policy/hemaloop-device
aws iam get-policy --policy-arn "$policy" >/dev/null 2>&1 || aws iam create-policy --policy-name hemaloop-device \
  --policy-document "$(sed "s/BUCKET/$bucket/" "$here/device-policy.json")" >/dev/null
aws iam create-user --user-name "$device" >/dev/null
aws iam attach-user-policy --user-name "$device" --policy-arn "$policy"
aws iam create-access-key --user-name "$device" --output text \
  --query 'AccessKey.join(`\n`, [join(`=`, [`AWS_ACCESS_KEY_ID`, AccessKeyId]), join(`=`, [`AWS_SECRET_ACCESS_KEY`, SecretAccessKey])])'
