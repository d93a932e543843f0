#!/usr/bin/env bash
# Ask two real AWS accounts which assumptions in docs/explanation/assumptions.md hold: ten minutes and a few cents.
#
#     docs/explanation/check-assumptions.sh HUB_PROFILE TARGET_PROFILE REGION
#
# Both are administrators' profiles of the aws command line. In the target, deploy/target.yaml is deployed for this hub:
# the check works with a twin of its role, which has the same policy, and with its key. (Another role: ROLE=...; another
# key: TARGET_KEY=...; a completed snapshot of the hub instead of a new one: SNAPSHOT=...) Everything it makes is called
# ami-promoter-check, and is removed at the end, also after a failure; its key in the hub is deleted after seven days.
set -euo pipefail
export AWS_PAGER=""
hub_profile=${1:?HUB_PROFILE is missing} target_profile=${2:?TARGET_PROFILE is missing} region=${3:?REGION is missing}
role=${ROLE:-AmiCopyRole} target_key=${TARGET_KEY:-alias/ami-promoter} name=ami-promoter-check
operations=(DescribeKey Decrypt CreateGrant ReEncryptFrom GenerateDataKey GenerateDataKeyWithoutPlaintext)

hub() { aws --profile "$hub_profile" --region "$region" --output text "$@"; }
target() { aws --profile "$target_profile" --region "$region" --output text "$@"; }
twin() { # as the target's role; the service never does anything there as anybody else
    AWS_ACCESS_KEY_ID=${twin_is[0]} AWS_SECRET_ACCESS_KEY=${twin_is[1]} AWS_SESSION_TOKEN=${twin_is[2]} \
        aws --region "$region" --output text "$@"
}
title() { printf '\n== %s\n' "$*"; }
holds() { printf '   HOLDS: %s\n' "$*"; }
fails() { printf '   DOES NOT HOLD: %s\n' "$*"; }
undo=()
later() { undo+=("$*"); } # one simple command, undone last in, first out
tidy() {
    title "Tidying"
    for ((n = ${#undo[@]} - 1; n >= 0; n--)); do
        ${undo[n]} >/dev/null 2>&1 || printf '   look at this by hand: %s\n' "${undo[n]}"
    done
}
trap tidy EXIT

listen() { # listen ACCOUNT PATTERN: a queue that keeps the events; its URL is then in $queue
    local who=$1 arn
    queue=$("$who" sqs create-queue --queue-name "$name" --query QueueUrl)
    later "$who" sqs delete-queue --queue-url "$queue"
    arn=$("$who" sqs get-queue-attributes --queue-url "$queue" --attribute-names QueueArn --query Attributes.QueueArn)
    "$who" sqs set-queue-attributes --queue-url "$queue" --attributes "$(printf '{"Policy": "%s"}' \
        "{\\\"Version\\\":\\\"2012-10-17\\\",\\\"Statement\\\":[{\\\"Effect\\\":\\\"Allow\\\",\\\"Principal\\\":{\\\"Service\\\":\\\"events.amazonaws.com\\\"},\\\"Action\\\":\\\"sqs:SendMessage\\\",\\\"Resource\\\":\\\"$arn\\\"}]}")"
    "$who" events put-rule --name "$name" --event-pattern "$2" >/dev/null
    later "$who" events delete-rule --name "$name"
    "$who" events put-targets --rule "$name" --targets "Id=queue,Arn=$arn" >/dev/null
    later "$who" events remove-targets --rule "$name" --ids queue
}
heard() { # heard ACCOUNT QUEUE TEXT: print the first event that has the text in it; wait two minutes for it
    local body
    for _ in 1 2 3 4 5 6; do
        body=$("$1" sqs receive-message --queue-url "$2" --wait-time-seconds 20 --max-number-of-messages 10 \
            --visibility-timeout 1 --query 'Messages[].Body')
        if [[ $body == *"$3"* ]]; then tr '\t' '\n' <<<"$body" | grep -F -m 1 -- "$3" && return; fi
    done
    return 1
}
copy_until_ended() { # print "COPY STATE MESSAGE"; key access may come up to five minutes late, so four tries
    local copy state
    for wait in 0 60 120 240; do
        sleep "$wait"
        copy=$(twin ec2 copy-snapshot --source-region "$region" --source-snapshot-id "$SNAPSHOT" --description "$name" \
            --encrypted --kms-key-id "$target_key_arn" --query SnapshotId) || { echo "none refused" && return; }
        state=pending
        while [[ $state == pending* ]]; do
            sleep 15
            state=$(twin ec2 describe-snapshots --snapshot-ids "$copy" --query 'Snapshots[0].[State,StateMessage]')
        done
        if [[ $state == completed* ]]; then break; fi
        target ec2 delete-snapshot --snapshot-id "$copy"
    done
    echo "$copy $state"
}

title "Setting up"
hub_account=$(hub sts get-caller-identity --query Account)
target_account=$(target sts get-caller-identity --query Account)
target_key_arn=$(target kms describe-key --key-id "$target_key" --query KeyMetadata.Arn)
if [[ -z ${SNAPSHOT:-} ]]; then
    key=$(hub kms create-key --description "$name" --query KeyMetadata.Arn)
    later hub kms schedule-key-deletion --key-id "$key" --pending-window-in-days 7
    zone=$(hub ec2 describe-availability-zones --query 'AvailabilityZones[0].ZoneName')
    volume=$(hub ec2 create-volume --size 1 --encrypted --kms-key-id "$key" --availability-zone "$zone" --query VolumeId)
    later hub ec2 delete-volume --volume-id "$volume"
    hub ec2 wait volume-available --volume-ids "$volume"
    SNAPSHOT=$(hub ec2 create-snapshot --volume-id "$volume" --description "$name" --query SnapshotId)
    later hub ec2 delete-snapshot --snapshot-id "$SNAPSHOT"
    hub ec2 wait snapshot-completed --snapshot-ids "$SNAPSHOT"
    own_key=yes
fi
key=$(hub ec2 describe-snapshots --snapshot-ids "$SNAPSHOT" --query 'Snapshots[0].KmsKeyId')
policy=$(aws --profile "$target_profile" --output json iam get-role-policy --role-name "$role" \
    --policy-name ami-promoter --query PolicyDocument)
target iam create-role --role-name "$name" --assume-role-policy-document "{\"Version\": \"2012-10-17\", \"Statement\":
    [{\"Effect\": \"Allow\", \"Principal\": {\"AWS\": \"$target_account\"}, \"Action\": \"sts:AssumeRole\"}]}" >/dev/null
later target iam delete-role --role-name "$name"
target iam put-role-policy --role-name "$name" --policy-name "$name" --policy-document "$policy"
later target iam delete-role-policy --role-name "$name" --policy-name "$name"
twin_arn=arn:aws:iam::$target_account:role/$name
sleep 20 # a new role is not known everywhere at once
read -r -a twin_is < <(target sts assume-role --role-arn "$twin_arn" --role-session-name "$name" \
    --query 'Credentials.[AccessKeyId,SecretAccessKey,SessionToken]')
listen hub "{\"source\": [\"aws.tag\"], \"detail-type\": [\"Tag Change on Resource\"],
    \"detail\": {\"service\": [\"ec2\"], \"resource-type\": [\"image\"], \"changed-tag-keys\": [\"$name\"]}}"
hub_queue=$queue
if trails=$(hub cloudtrail describe-trails --query 'length(trailList)' 2>/dev/null) && [[ $trails != 0 ]]; then
    hub events put-rule --name "$name-trail" --event-pattern '{"source": ["aws.kms", "aws.ec2"],
        "detail-type": ["AWS API Call via CloudTrail", "AWS Service Event via CloudTrail"],
        "detail": {"eventName": ["CreateGrant", "ModifySnapshotAttribute", "SharedSnapshotCopyInitiated"]}}' >/dev/null
    later hub events delete-rule --name "$name-trail"
    hub events put-targets --rule "$name-trail" --targets "Id=queue,Arn=$(hub sqs get-queue-attributes \
        --queue-url "$queue" --attribute-names QueueArn --query Attributes.QueueArn)" >/dev/null
    later hub events remove-targets --rule "$name-trail" --ids queue
fi
listen target '{"source": ["aws.ec2"], "detail-type": ["EBS Snapshot Notification"], "detail": {"event": ["copySnapshot"]}}'
target_queue=$queue
sleep 30 # so is a new rule
echo "   snapshot $SNAPSHOT of $hub_account under $key, to $target_account under $target_key_arn"

title "1. The owner's grant is enough for a CopySnapshot across accounts"
hub ec2 modify-snapshot-attribute --snapshot-id "$SNAPSHOT" --attribute createVolumePermission \
    --operation-type add --user-ids "$target_account"
later hub ec2 modify-snapshot-attribute --snapshot-id "$SNAPSHOT" --attribute createVolumePermission \
    --operation-type remove --user-ids "$target_account"
copied="" grant=""
close_grant() { if [[ -n $grant ]]; then hub kms revoke-grant --key-id "$key" --grant-id "$grant" && grant=""; fi; }
later close_grant
for grantee in "$twin_arn" "arn:aws:iam::$target_account:root"; do
    if [[ -n $copied ]]; then break; fi
    grant=$(hub kms create-grant --key-id "$key" --grantee-principal "$grantee" --name "$name-${grantee##*[:/]}" \
        --operations "${operations[@]}" --query GrantId)
    read -r copy state message < <(copy_until_ended)
    if [[ $state == completed ]]; then
        holds "a grant to $grantee is enough; the copy is $copy"
        copied=$copy
        later target ec2 delete-snapshot --snapshot-id "$copied"
    else
        fails "with a grant to $grantee the copy ended in: $state $message"
    fi
    close_grant
done
hub ec2 modify-snapshot-attribute --snapshot-id "$SNAPSHOT" --attribute createVolumePermission \
    --operation-type remove --user-ids "$target_account"
echo "   grants that the target's account derived and that are still there:"
hub kms list-grants --key-id "$key" --query "Grants[?contains(IssuingAccount, '$target_account')].[GrantId,GranteePrincipal]"

title "1b. Is a grant for this snapshot's data alone enough? (not used by the service: a target could derive no wider one)"
if [[ -z $copied || -z ${own_key:-} ]]; then echo "   not asked: there is no copy, or the snapshot is not the script's own"; else
    grant=$(hub kms create-grant --key-id "$key" --grantee-principal "$grantee" --name "$name-narrow" \
        --operations "${operations[@]}" --constraints "EncryptionContextSubset={aws:ebs:id=$volume}" --query GrantId)
    hub ec2 modify-snapshot-attribute --snapshot-id "$SNAPSHOT" --attribute createVolumePermission \
        --operation-type add --user-ids "$target_account"
    read -r copy state message < <(copy_until_ended)
    if [[ $state == completed ]]; then holds "also with the constraint aws:ebs:id=$volume"; else
        fails "with the constraint aws:ebs:id=$volume the copy ended in: $state $message"
    fi
    if [[ $copy == snap-* ]]; then target ec2 delete-snapshot --snapshot-id "$copy" || true; fi
    close_grant
    hub ec2 modify-snapshot-attribute --snapshot-id "$SNAPSHOT" --attribute createVolumePermission \
        --operation-type remove --user-ids "$target_account"
fi

title "2. The copySnapshot event comes to the target's default bus, as in docs/reference/events.md"
if event=$(heard target "$target_queue" "${copied:-$SNAPSHOT}"); then
    holds "$event"
else
    fails "no event in two minutes; the sweep finds the copy's end by asking (metric FoundBySweep)"
fi

title "3. The tag event comes to the hub's default bus, as in docs/reference/events.md"
image=$(hub ec2 register-image --name "$name-$$" --root-device-name /dev/xvda --architecture x86_64 \
    --virtualization-type hvm --block-device-mappings "DeviceName=/dev/xvda,Ebs={SnapshotId=$SNAPSHOT}" \
    --tag-specifications "ResourceType=image,Tags=[{Key=$name,Value=at-creation}]" --query ImageId)
later hub ec2 deregister-image --image-id "$image"
hub ec2 wait image-available --image-ids "$image"
hub ec2 create-tags --resources "$image" --tags "Key=$name,Value=later"
if event=$(heard hub "$hub_queue" later); then holds "$event"; else
    fails "no event in two minutes; discovery finds the tag within five"
fi
if heard hub "$hub_queue" at-creation >/dev/null; then holds "a tag given at creation tells it, too"; else
    fails "a tag given at creation tells nothing; discovery finds it within five minutes"
fi

title "4. Could AssociateKmsKeyId end the sharing of the source key? (not used by the service)"
if ! aws ec2 associate-kms-key-id --generate-cli-skeleton >/dev/null 2>&1; then
    echo "   not asked: this aws command line does not know the call; take a newer one"
else
    grant=$(target kms create-grant --key-id "$target_key_arn" --grantee-principal "arn:aws:iam::$hub_account:root" \
        --operations DescribeKey Decrypt CreateGrant ReEncryptFrom ReEncryptTo GenerateDataKey \
        GenerateDataKeyWithoutPlaintext --query GrantId)
    later target kms revoke-grant --key-id "$target_key_arn" --grant-id "$grant"
    sleep 60
    if said=$(hub ec2 associate-kms-key-id --snapshot-id "$SNAPSHOT" --kms-key-id "$target_key_arn" 2>&1); then
        hub ec2 modify-snapshot-attribute --snapshot-id "$SNAPSHOT" --attribute createVolumePermission \
            --operation-type add --user-ids "$target_account"
        read -r copy state message < <(copy_until_ended)
        echo "   it takes the target's key, and a copy without any right on the source key ended in: $state $message"
        target ec2 delete-snapshot --snapshot-id "$copy" || true
    else
        echo "   it does not take the target's key: $said"
    fi
fi

title "5. Revoking when the copy is completed hurts nothing"
if [[ -z $copied ]]; then echo "   not asked: there is no copy"; else
    if [[ -n ${own_key:-} ]]; then hub kms disable-key --key-id "$key"; fi
    sleep 60
    zone=$(target ec2 describe-availability-zones --query 'AvailabilityZones[0].ZoneName')
    volume=$(target ec2 create-volume --snapshot-id "$copied" --availability-zone "$zone" --query VolumeId)
    later target ec2 delete-volume --volume-id "$volume"
    if target ec2 wait volume-available --volume-ids "$volume"; then
        holds "share and grant are gone${own_key:+, the source key is disabled}, and a volume comes up from $copied"
    else
        fails "no volume comes up from $copied: $(target ec2 describe-snapshots --snapshot-ids "$copied")"
    fi
fi

title "6. STS takes the service's own session policies, and how much of its packed limit each fills"
listed() { for ((n = 1; n <= $1; n++)); do printf 'snap-%017x ' "$n"; done; }
repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
session_policy() { # session_policy WORK SNAPSHOTS: the policy for so many; "wide" for the one that lists none
    PYTHONPATH=$repository python3 - "$target_account" "$region" "$hub_account" "$key" "$target_key_arn" "$@" <<'PYTHON'
import sys
from chalicelib.adapters.sts.session_policies import policy
from chalicelib.core.delivery.model import Delivery, Snapshot
from chalicelib.core.targets.applied_file import Target

account, region, hub, source_key, own_key, work, *listed = sys.argv[1:]
wide = listed == ["wide"]
snapshots = tuple(Snapshot(one, source_key) for one in listed if not wide)
target = Target(account, region)
delivery = Delivery("0" * 20, hub, "ami-0123456789abcdef0", target, 1, 0, "name", snapshots, key_arn=own_key)
print(policy(work, delivery, None if wide else [one.id for one in snapshots], own_key.split(":")[1]))
PYTHON
}
for asked in "look" "copy $(listed 1)" "copy $(listed 4)" "copy wide" "image $(listed 1)" "image $(listed 4)" "image wide" \
    "register" "retag" "tidy" "roles"; do
    read -r -a words <<<"$asked"
    policy=$(session_policy "${words[@]}")
    what="${words[0]}, $((${#words[@]} - 1)) listed, ${#policy} characters"
    if [[ ${words[1]:-} == wide ]]; then what="${words[0]}, the wider one, ${#policy} characters"; fi
    if said=$(target sts assume-role --role-arn "$twin_arn" --role-session-name "$name" --policy "$policy" \
        --query PackedPolicySize 2>&1); then
        holds "$what: $said % of the packed limit"
    else
        fails "$what: $said"
    fi
done

title "7. AssumeRole is asked with aws:ResourceOrgID, the organization of the role's account"
if organization=$(target organizations describe-organization --query Organization.Id 2>/dev/null); then
    target iam create-role --role-name "$name-enter" --assume-role-policy-document "{\"Version\": \"2012-10-17\", \"Statement\":
        [{\"Effect\": \"Allow\", \"Principal\": {\"AWS\": \"$target_account\"}, \"Action\": \"sts:AssumeRole\"}]}" >/dev/null
    later target iam delete-role --role-name "$name-enter"
    target iam put-role-policy --role-name "$name-enter" --policy-name "$name" --policy-document "{\"Version\": \"2012-10-17\",
        \"Statement\": [{\"Effect\": \"Allow\", \"Action\": \"sts:AssumeRole\", \"Resource\": \"$twin_arn\",
        \"Condition\": {\"StringEquals\": {\"aws:ResourceOrgID\": \"$organization\"}}}]}"
    later target iam delete-role-policy --role-name "$name-enter" --policy-name "$name"
    sleep 20
    read -r -a enter < <(target sts assume-role --role-arn "arn:aws:iam::$target_account:role/$name-enter" \
        --role-session-name "$name" --query 'Credentials.[AccessKeyId,SecretAccessKey,SessionToken]')
    if said=$(AWS_ACCESS_KEY_ID=${enter[0]} AWS_SECRET_ACCESS_KEY=${enter[1]} AWS_SESSION_TOKEN=${enter[2]} \
        aws --region "$region" --output text sts assume-role --role-arn "$twin_arn" --role-session-name "$name" 2>&1); then
        holds "a role of $organization is entered under that condition: the hub's OrganizationId does what it says"
    else
        fails "give the hub TargetAccounts instead of OrganizationId: $said"
    fi
else
    echo "   $target_account is in no organization: not asked"
fi

title "8. A trail shows grants and sharing to EventBridge, in the shapes that the access monitor reads (it needs a trail here)"
if [[ ${trails:-0} == 0 ]]; then
    echo "   $hub_account has no trail that logs in $region: not asked"
else
    for call in ModifySnapshotAttribute CreateGrant SharedSnapshotCopyInitiated; do # those of step 1
        if event=$(heard hub "$hub_queue" "\"eventName\":\"$call\""); then
            holds "$call reaches a plain rule: $event"
        else
            fails "no $call; the access monitor does not see it"
        fi
    done
fi
