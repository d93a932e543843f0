#!/usr/bin/env bash
# Ask two real AWS accounts which assumptions in docs/explanation/assumptions.md hold: half an hour and a few cents.
#
#     docs/explanation/check-assumptions.sh HUB_PROFILE TARGET_PROFILE REGION
#
# Both are administrators' profiles of the aws command line. In the target, deploy/target.yaml is deployed for this hub:
# the check works with a twin of its role, which has the same policy, and with its key. (Another role: ROLE=...; another
# key: TARGET_KEY=...; a completed snapshot of the hub instead of a new one: SNAPSHOT=...; another second Region:
# OTHER_REGION=...; the first steps alone, in some ten minutes: UNTIL=7) Everything it makes is called
# ami-promoter-check, and is removed at the end, also after a failure; its key in the hub is deleted after seven days.
set -euo pipefail
export AWS_PAGER=""
hub_profile=${1:?HUB_PROFILE is missing} target_profile=${2:?TARGET_PROFILE is missing} region=${3:?REGION is missing}
role=${ROLE:-AmiCopyRole} target_key=${TARGET_KEY:-alias/ami-promoter} name=ami-promoter-check
other=${OTHER_REGION:-$([[ $region == us-east-1 ]] && echo us-west-2 || echo us-east-1)}
operations=(DescribeKey Decrypt CreateGrant ReEncryptFrom GenerateDataKey GenerateDataKeyWithoutPlaintext)

hub() { aws --profile "$hub_profile" --region "$region" --output text "$@"; }
target() { aws --profile "$target_profile" --region "$region" --output text "$@"; }
twin() { # as the target's role; the service never does anything there as anybody else
    AWS_ACCESS_KEY_ID=${twin_is[0]} AWS_SECRET_ACCESS_KEY=${twin_is[1]} AWS_SESSION_TOKEN=${twin_is[2]} \
        aws --region "$region" --output text "$@"
}
enter_twin() { # enter_twin [WORDS...]: for an hour; WORDS may give a session policy
    read -r -a twin_is < <(target sts assume-role --role-arn "$twin_arn" --role-session-name "$name" "$@" \
        --query 'Credentials.[AccessKeyId,SecretAccessKey,SessionToken]')
}
title() {
    if [[ $1 =~ ^[0-9]+ ]] && ((BASH_REMATCH > ${UNTIL:-99})); then exit; fi
    printf '\n== %s\n' "$*"
}
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
copy_until_ended() { # copy_until_ended [REGION KEY]: print "COPY STATE MESSAGE"
    # Key access may come up to five minutes late, so four tries.
    local copy state into=${1:-$region} under=${2:-$target_key_arn}
    for wait in 0 60 120 240; do
        sleep "$wait"
        copy=$(twin ec2 copy-snapshot --region "$into" --source-region "$region" --source-snapshot-id "$SNAPSHOT" \
            --description "$name" --encrypted --kms-key-id "$under" "${@:3}" --query SnapshotId) || { echo "none refused" && return; }
        state=pending
        while [[ $state == pending* ]]; do
            sleep 15
            state=$(twin ec2 describe-snapshots --region "$into" --snapshot-ids "$copy" --query 'Snapshots[0].[State,StateMessage]')
        done
        if [[ $state == completed* ]]; then break; fi
        target ec2 delete-snapshot --region "$into" --snapshot-id "$copy"
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
enter_twin
listen hub "{\"source\": [\"aws.tag\"], \"detail-type\": [\"Tag Change on Resource\"],
    \"detail\": {\"service\": [\"ec2\"], \"resource-type\": [\"image\"], \"changed-tag-keys\": [\"$name\"]}}"
hub_queue=$queue
if trails=$(hub cloudtrail describe-trails --query 'length(trailList)' 2>/dev/null) && [[ $trails != 0 ]]; then
    hub events put-rule --name "$name-trail" --event-pattern '{"source": ["aws.kms", "aws.ec2"],
        "detail-type": ["AWS API Call via CloudTrail", "AWS Service Event via CloudTrail"],
        "detail": {"eventName": ["CopySnapshot", "CreateGrant", "ModifySnapshotAttribute", "SharedSnapshotCopyInitiated"]}}' >/dev/null
    later hub events delete-rule --name "$name-trail"
    hub events put-targets --rule "$name-trail" --targets "Id=queue,Arn=$(hub sqs get-queue-attributes \
        --queue-url "$queue" --attribute-names QueueArn --query Attributes.QueueArn)" >/dev/null
    later hub events remove-targets --rule "$name-trail" --ids queue
fi
listen target '{"source": ["aws.ec2"], "detail-type": ["EBS Snapshot Notification"], "detail": {"event": ["copySnapshot"]}}'
target_queue=$queue
sleep 30 # so is a new rule
echo "   snapshot $SNAPSHOT of $hub_account under $key, to $target_account under $target_key_arn"

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
for wheel in "$(dirname "${BASH_SOURCE[0]}")"/ami_promoter-*.whl; do # beside a released script lies the released code
    if [[ -e $wheel ]]; then repository=$wheel; fi
done
session_policy() { # session_policy WORK SNAPSHOTS: the policy for so many; "wide" for the one that lists none
    PYTHONPATH=$repository python3 - "$target_account" "${into:-$region}" "$hub_account" "$key" "$target_key_arn" "$@" <<'PYTHON'
import sys
from chalicelib.delivery.aws.session_policies import policy
from chalicelib.delivery.model import Delivery, Snapshot
from chalicelib.targets.applied_file import Target

account, region, hub, source_key, own_key, work, *listed = sys.argv[1:]
wide = listed == ["wide"]
snapshots = tuple(Snapshot(one, source_key) for one in listed if not wide)
target = Target(account, region)
delivery = Delivery("0" * 20, hub, "ami-0123456789abcdef0", target, 1, 0, "name", snapshots, key_arn=own_key)
print(policy(work, delivery, None if wide else [one.id for one in snapshots], own_key.split(":")[1]))
PYTHON
}

# make_role WHO ROLE PRINCIPAL STATEMENTS: a role with one policy; PRINCIPAL and STATEMENTS are JSON
make_role() {
    "$1" iam create-role --role-name "$2" --assume-role-policy-document \
        "{\"Version\": \"2012-10-17\", \"Statement\": [{\"Effect\": \"Allow\", \"Principal\": $3, \"Action\": \"sts:AssumeRole\"}]}" >/dev/null
    later "$1" iam delete-role --role-name "$2"
    "$1" iam put-role-policy --role-name "$2" --policy-name "$name" \
        --policy-document "{\"Version\": \"2012-10-17\", \"Statement\": [$4]}"
    later "$1" iam delete-role-policy --role-name "$2" --policy-name "$name"
}
is_answered() { # is_answered EXPECTED WHAT SAID: by what a call with --dry-run said; EXPECTED is allowed or denied
    local said=$3
    case $said in
        *DryRunOperation*) said=allowed ;;
        *UnauthorizedOperation*) said=denied ;;
    esac
    if [[ $said == "$1" ]]; then holds "$2 is $said"; else fails "$2 should be $1: $said"; fi
}
as_hub_role() { # as_hub_role ROLE WORDS...: the aws command as a role of the hub
    local is
    read -r -a is < <(hub sts assume-role --role-arn "arn:aws:iam::$hub_account:role/$1" --role-session-name "$name" \
        --query 'Credentials.[AccessKeyId,SecretAccessKey,SessionToken]')
    AWS_ACCESS_KEY_ID=${is[0]} AWS_SECRET_ACCESS_KEY=${is[1]} AWS_SESSION_TOKEN=${is[2]} \
        aws --region "$region" --output text "${@:2}"
}

title "1. ec2:Add/userId has every account of a ModifySnapshotAttribute, up to 500, and no removal"
make_role hub "$name-share" "{\"AWS\": \"$hub_account\"}" '{"Effect": "Allow", "Action": "ec2:ModifySnapshotAttribute", "Resource": "*"},
    {"Effect": "Deny", "Action": "ec2:ModifySnapshotAttribute", "Resource": "*",
     "Condition": {"ForAnyValue:StringNotLike": {"ec2:Add/userId": "1000*"}}}'
sleep 20
some() { for ((n = 0; n < $1; n++)); do printf '{UserId=1000%08d},' "$n"; done; }
asked() { # asked EXPECTED WHAT WORDS...: nothing is changed (--dry-run); EXPECTED: allowed or denied
    local said
    said=$(as_hub_role "$name-share" ec2 modify-snapshot-attribute --dry-run --snapshot-id "$SNAPSHOT" "${@:3}" 2>&1) || true
    case $said in
        *DryRunOperation*) said=allowed ;;
        *UnauthorizedOperation*) said=denied ;;
    esac
    if [[ $said == "$1" ]]; then holds "$2 is $said"; else fails "$2 should be $1: $said"; fi
}
asked allowed "adding 500 listed accounts" --create-volume-permission "Add=[$(some 500)]"
asked denied "adding 499 listed accounts and a stranger" --create-volume-permission "Add=[$(some 499){UserId=999999999999}]"
asked allowed "removing a stranger" --create-volume-permission 'Remove=[{UserId=999999999999}]'

# Steps 2 to 4 are answered by recordings of a real account and by AWS's documentation (awsim/docs/aws-facts.md, 1e).

title "5. CloudFormation sets block public access for snapshots where it is on already"
public=$(hub ec2 get-snapshot-block-public-access-state --query State)
if [[ $public == unblocked ]]; then
    echo "   not asked: it is off in $hub_account, $region, and this script does not change that"
else
    later hub cloudformation delete-stack --stack-name "$name-block"
    printf '{"Resources": {"Block": {"Type": "AWS::EC2::SnapshotBlockPublicAccess", "DeletionPolicy": "Retain",
        "UpdateReplacePolicy": "Retain", "Properties": {"State": "%s"}}}}' "$public" >"/tmp/$name.json"
    later rm -f "/tmp/$name.json"
    if said=$(hub cloudformation deploy --stack-name "$name-block" --template-file "/tmp/$name.json" 2>&1); then
        holds "a stack takes $public over: BlockPublicSnapshots need not be false"
    else
        fails "leave BlockPublicSnapshots at false where the block is on: $said"
    fi
fi

title "6. A copy into $other works under the service's own session policy"
other_key=$(target kms create-key --region "$other" --description "$name" --query KeyMetadata.Arn)
later target kms schedule-key-deletion --region "$other" --key-id "$other_key" --pending-window-in-days 7
hub ec2 modify-snapshot-attribute --snapshot-id "$SNAPSHOT" --create-volume-permission "Add=[{UserId=$target_account}]"
later hub ec2 modify-snapshot-attribute --snapshot-id "$SNAPSHOT" --create-volume-permission "Remove=[{UserId=$target_account}]"
grant=""
close_grant() { if [[ -n $grant ]]; then hub kms revoke-grant --key-id "$key" --grant-id "$grant" && grant=""; fi; }
later close_grant
grant=$(hub kms create-grant --key-id "$key" --grantee-principal "$twin_arn" --name "$name-abroad" \
    --operations "${operations[@]}" --query GrantId)
enter_twin --policy "$(into=$other target_key_arn=$other_key session_policy copy "$SNAPSHOT")"
if untagged=$(twin ec2 copy-snapshot --region "$other" --source-region "$region" --source-snapshot-id "$SNAPSHOT" \
    --encrypted --kms-key-id "$other_key" --query SnapshotId 2>&1); then
    fails "it copies without the delivery's tag: $untagged"
    later target ec2 delete-snapshot --region "$other" --snapshot-id "$untagged"
elif [[ $untagged == *UnauthorizedOperation* ]]; then
    holds "without the delivery's tag it copies nothing"
else
    fails "without the delivery's tag the refusal should be UnauthorizedOperation: $untagged"
fi
tags="ResourceType=snapshot,Tags=[{Key=ami-promoter:delivery,Value=00000000000000000000}]"
read -r copy state message < <(copy_until_ended "$other" "$other_key" --tag-specifications "$tags")
if [[ $state == completed ]]; then
    holds "the copy in $other is $copy"
    later target ec2 delete-snapshot --region "$other" --snapshot-id "$copy"
else
    fails "the copy into $other ended in: $state $message"
fi
close_grant
enter_twin
hub ec2 modify-snapshot-attribute --snapshot-id "$SNAPSHOT" --create-volume-permission "Remove=[{UserId=$target_account}]"

title "6b. A condition on partition keys holds for each write of a transaction"
hub dynamodb create-table --table-name "$name" --billing-mode PAY_PER_REQUEST \
    --attribute-definitions AttributeName=pk,AttributeType=S --key-schema AttributeName=pk,KeyType=HASH >/dev/null
later hub dynamodb delete-table --table-name "$name"
hub dynamodb wait table-exists --table-name "$name"
make_role hub "$name-keys" "{\"AWS\": \"$hub_account\"}" "{\"Effect\": \"Allow\", \"Action\": \"dynamodb:PutItem\",
    \"Resource\": \"arn:aws:dynamodb:$region:$hub_account:table/$name\", \"Condition\": {
    \"ForAllValues:StringLike\": {\"dynamodb:LeadingKeys\": \"own#*\"}, \"Null\": {\"dynamodb:LeadingKeys\": \"false\"}}}"
sleep 20
put() { printf '{"Put": {"TableName": "%s", "Item": {"pk": {"S": "%s"}}}}' "$name" "$1"; }
if said=$(as_hub_role "$name-keys" dynamodb transact-write-items --transact-items "[$(put own#1), $(put own#2)]" 2>&1); then
    holds "a transaction on the role's own keys is allowed"
else
    fails "no promotion would begin: take the conditions Null on dynamodb:LeadingKeys out of .chalice/policies: $said"
fi
said=$(as_hub_role "$name-keys" dynamodb transact-write-items --transact-items "[$(put own#1), $(put other#1)]" 2>&1) || true
if [[ $said == *AccessDenied* ]]; then
    holds "one with another key is denied"
else
    fails "in a transaction a function's role writes other kinds of records: $said"
fi

title "7. The owner's grant is enough for a CopySnapshot across accounts"
hub ec2 modify-snapshot-attribute --snapshot-id "$SNAPSHOT" --create-volume-permission "Add=[{UserId=$target_account}]"
copied=""
for grantee in "$twin_arn" "arn:aws:iam::$target_account:root"; do
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
    if [[ -n $copied ]]; then break; fi
done
hub ec2 modify-snapshot-attribute --snapshot-id "$SNAPSHOT" --create-volume-permission "Remove=[{UserId=$target_account}]"
echo "   grants that the target's account derived and that are still there:"
hub kms list-grants --key-id "$key" --query "Grants[?contains(IssuingAccount, '$target_account')].[GrantId,GranteePrincipal]"

title "7b. Is a grant for this snapshot's data alone enough? (not used by the service: a target could derive no wider one)"
if [[ -z $copied || -z ${own_key:-} ]]; then echo "   not asked: there is no copy, or the snapshot is not the script's own"; else
    grant=$(hub kms create-grant --key-id "$key" --grantee-principal "$grantee" --name "$name-narrow" \
        --operations "${operations[@]}" --constraints "EncryptionContextSubset={aws:ebs:id=$volume}" --query GrantId)
    hub ec2 modify-snapshot-attribute --snapshot-id "$SNAPSHOT" --create-volume-permission "Add=[{UserId=$target_account}]"
    read -r copy state message < <(copy_until_ended)
    if [[ $state == completed ]]; then
        holds "also with the constraint aws:ebs:id=$volume"
        target ec2 delete-snapshot --snapshot-id "$copy"
    else
        fails "with the constraint aws:ebs:id=$volume the copy ended in: $state $message"
    fi
    close_grant
    hub ec2 modify-snapshot-attribute --snapshot-id "$SNAPSHOT" --create-volume-permission "Remove=[{UserId=$target_account}]"
fi

title "8. The copySnapshot event comes to the target's default bus, as in docs/reference/events.md"
if event=$(heard target "$target_queue" "${copied:-$SNAPSHOT}"); then
    holds "$event"
else
    fails "no event in two minutes; the sweep finds the copy's end by asking (metric FoundBySweep)"
fi

title "9. The tag event comes to the hub's default bus, as in docs/reference/events.md"
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

title "10. Could AssociateKmsKeyId end the sharing of the source key? (not used by the service)"
if ! aws ec2 associate-kms-key-id --generate-cli-skeleton >/dev/null 2>&1; then
    echo "   not asked: this aws command line does not know the call; take a newer one"
else
    grant=$(target kms create-grant --key-id "$target_key_arn" --grantee-principal "arn:aws:iam::$hub_account:root" \
        --operations DescribeKey Decrypt CreateGrant ReEncryptFrom ReEncryptTo GenerateDataKey \
        GenerateDataKeyWithoutPlaintext --query GrantId)
    later target kms revoke-grant --key-id "$target_key_arn" --grant-id "$grant"
    sleep 60
    if said=$(hub ec2 associate-kms-key-id --snapshot-id "$SNAPSHOT" --kms-key-id "$target_key_arn" 2>&1); then
        hub ec2 modify-snapshot-attribute --snapshot-id "$SNAPSHOT" --create-volume-permission "Add=[{UserId=$target_account}]"
        read -r copy state message < <(copy_until_ended)
        echo "   it takes the target's key, and a copy without any right on the source key ended in: $state $message"
        target ec2 delete-snapshot --snapshot-id "$copy" || true
    else
        echo "   it does not take the target's key: $said"
    fi
fi

title "11. Revoking when the copy is completed hurts nothing"
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

title "12. STS takes the service's own session policies, and how much of its packed limit each fills"
listed() { for ((n = 1; n <= $1; n++)); do printf 'snap-%017x ' "$n"; done; }
for asked in "look" "copy $(listed 1)" "copy $(listed 4)" "copy wide" "image $(listed 1)" "image $(listed 4)" "image wide" \
    "register" "retag" "tidy" "roles" "launch" "launched"; do
    read -r -a words <<<"$asked"
    policy=$(session_policy "${words[@]}")
    what="${words[0]}, $((${#words[@]} - 1)) listed, ${#policy} characters"
    if [[ ${words[1]:-} == wide ]]; then what="${words[0]}, the wider one, ${#policy} characters"; fi
    if said=$(target sts assume-role --role-arn "$twin_arn" --role-session-name "$name" --policy "$policy" \
        --query 'SessionTokenUtilization || PackedPolicySize' 2>&1); then
        holds "$what: $said % of the packed limit"
    else
        fails "$what: $said"
    fi
done

title "14. A trail shows grants and sharing to EventBridge, in the shapes that the access monitor reads (it needs a trail here)"
if [[ ${trails:-0} == 0 ]]; then
    echo "   $hub_account has no trail that logs in $region: not asked"
else
    for call in ModifySnapshotAttribute CreateGrant CopySnapshot SharedSnapshotCopyInitiated; do # those of step 7
        if event=$(heard hub "$hub_queue" "\"eventName\":\"$call\""); then
            holds "$call reaches a plain rule: $event"
        else
            fails "no $call; the access monitor does not see it"
        fi
    done
fi

title "15. Parameter Store validates an AMI's id with the session's rights; what its tags need, and a second write says"
parameter=/$name/current
target iam put-role-policy --role-name "$name" --policy-name "$name-ssm" --policy-document '{"Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": ["ssm:*", "ec2:DescribeImages"], "Resource": "*"}]}'
later target iam delete-role-policy --role-name "$name" --policy-name "$name-ssm"
naming() { # naming SPELLING WITHOUT: the service's session policy, of the ARN's two spellings 1, 2 or both, without an action
    PYTHONPATH=$repository python3 - "arn:aws:ssm:$region:$target_account:parameter" "$parameter" "$@" <<'PYTHON'
import json
import sys
from chalicelib.release.aws.session_policy import policy

arn, parameter, spelling, without = sys.argv[1:]
written = json.loads(policy(arn, parameter))
named, _ = written["Statement"]
named["Resource"] = named["Resource"] if spelling == "both" else named["Resource"][int(spelling) - 1]
written["Statement"] = [one for one in written["Statement"] if one["Action"] != without]
print(json.dumps(written))
PYTHON
}
put_image() { # put_image IMAGE WORDS...
    twin ssm put-parameter --name "$parameter" --value "$1" --type String --data-type aws:ec2:image "${@:2}" 2>&1
}
comes() { # comes IMAGE: whether the parameter shows it within two minutes
    for _ in 1 2 3 4 5 6 7 8; do
        sleep 15
        if [[ $(target ssm get-parameter --name "$parameter" --query Parameter.Value 2>&1) == "$1" ]]; then return; fi
    done
    return 1
}
read -r -a amis < <(target ec2 describe-images --owners amazon --filters 'Name=name,Values=al2023-ami-2023*-x86_64' \
    Name=state,Values=available --query 'Images[:2].ImageId')
if [[ ${#amis[@]} -lt 2 ]]; then
    echo "   not asked: fewer than two AMIs of Amazon's show in $region"
else
    sleep 20
    later target ssm delete-parameter --name "$parameter"
    enter_twin --policy "$(naming both ec2:DescribeImages)"
    said=$(put_image "${amis[0]}") || true
    if comes "${amis[0]}"; then
        fails "a session without DescribeImages writes an AMI's id; the session policy could be shorter"
        target ssm delete-parameter --name "$parameter"
    else
        holds "without DescribeImages in the session policy the value does not come: $said"
    fi
    sleep 300 # after a failed write the parameter cannot be written for five minutes
    enter_twin --policy "$(naming both none)"
    if said=$(put_image "${amis[0]}" --tags "Key=$name,Value=1") && comes "${amis[0]}"; then
        holds "under the service's own session policy it comes, with tags"
    else
        fails "under the service's own session policy it does not come: $said"
    fi
    for spelling in 1 2; do
        enter_twin --policy "$(naming "$spelling" none)"
        said=$(twin ssm add-tags-to-resource --resource-type Parameter --resource-id "$parameter" \
            --tags "Key=$name,Value=2" 2>&1) && said=allowed
        echo "   AddTagsToResource under the ARN with $spelling slashes: $said"
    done
    enter_twin --policy "$(naming both none)"
    said="$(put_image "${amis[1]}" --overwrite || true) $(put_image "${amis[0]}" --overwrite || true)"
    if [[ $said == *TooManyUpdates* ]]; then
        holds "a second write while the first is validated is TooManyUpdates"
    else
        fails "two writes one after the other answer: $said"
    fi
    if comes "${amis[1]}"; then holds "and the first one comes"; else fails "the first one does not come"; fi
    enter_twin
fi

title "16. A recall and its lift work on a protected AMI, and can be repeated: a disabled one is deprecated, an enabled one enabled"
soon() { date -u -d "@$(($(date +%s) + 60))" +%Y-%m-%dT%H:%M:%SZ 2>/dev/null || date -u -v+1M +%Y-%m-%dT%H:%M:%SZ; }
again() { # again WORDS...: an EC2 call about the hub's AMI
    if said=$(hub ec2 "$@" --image-id "$image" 2>&1); then holds "$1"; else fails "$1: $said"; fi
}
later hub ec2 disable-image-deregistration-protection --image-id "$image"
again enable-image-deregistration-protection
again enable-image-deprecation --deprecate-at "$(soon)"
again disable-image
again enable-image-deprecation --deprecate-at "$(soon)"
again disable-image
again enable-image
again enable-image
again disable-image-deprecation
again disable-image-deprecation

title "17. RunInstances is asked on each part with the conditions of the launch role"
subnet=$(hub ec2 describe-subnets --filters Name=default-for-az,Values=true --query 'Subnets[0].SubnetId')
if [[ $subnet == None ]]; then
    echo "   not asked: $hub_account has no default subnet in $region"
else
    part() { # part KIND CONDITION: a statement of LaunchRole in deploy/target.yaml
        printf '{"Effect": "Allow", "Action": "ec2:RunInstances", "Resource": "arn:aws:ec2:*:*:%s/*", "Condition": {%s}}, ' "$@"
    }
    tag="\"StringEquals\": {\"aws:RequestTag/$name\": \"1\"}"
    make_role hub "$name-launch" "{\"AWS\": \"$hub_account\"}" "
        $(part image "\"StringEquals\": {\"ec2:Owner\": \"$hub_account\", \"aws:ResourceTag/$name\": \"later\"}")
        $(part instance "\"StringEquals\": {\"ec2:InstanceType\": [\"t3.micro\"], \"ec2:MetadataHttpTokens\": \"required\",
            \"aws:RequestTag/$name\": \"1\"}")
        $(part volume "\"Bool\": {\"ec2:Encrypted\": \"true\"}, $tag")
        $(part network-interface '"Bool": {"ec2:AssociatePublicIpAddress": "false"}')
        {\"Effect\": \"Allow\", \"Action\": \"ec2:RunInstances\", \"Resource\": [\"arn:aws:ec2:*:*:subnet/*\",
            \"arn:aws:ec2:*:*:security-group/*\"]},
        {\"Effect\": \"Allow\", \"Action\": \"ec2:CreateTags\", \"Resource\": \"*\",
            \"Condition\": {\"StringEquals\": {\"ec2:CreateAction\": \"RunInstances\"}}}"
    sleep 20
    launches() { # launches EXPECTED WHAT INTERFACE EBS WORDS...: nothing is launched (--dry-run)
        local said
        said=$(as_hub_role "$name-launch" ec2 run-instances --dry-run --image-id "$image" --instance-type t3.micro \
            --network-interfaces "DeviceIndex=0,SubnetId=$subnet$3" --metadata-options HttpTokens=required \
            --block-device-mappings "DeviceName=/dev/xvda,Ebs={DeleteOnTermination=true$4}" \
            --tag-specifications "ResourceType=instance,Tags=[{Key=$name,Value=1}]" \
            "ResourceType=volume,Tags=[{Key=$name,Value=1}]" "${@:5}" 2>&1) || true
        is_answered "$1" "$2" "$said"
    }
    launches allowed "a launch test" ,AssociatePublicIpAddress=false ,Encrypted=true
    launches denied "one that does not say whether it has a public address" "" ,Encrypted=true
    launches denied "one of another type" ,AssociatePublicIpAddress=false ,Encrypted=true --instance-type t3.small
    launches denied "one of an encrypted AMI that does not say Encrypted" ,AssociatePublicIpAddress=false ""
fi

title "18. RegisterImage is asked on the new AMI with its tag, and on each snapshot with the snapshot's"
if [[ -z ${copied:-} ]]; then echo "   not asked: there is no copy"; else
    enter_twin --policy "$(session_policy register)"
    registers() { # registers EXPECTED WHAT WORDS...: nothing is registered (--dry-run)
        local said
        said=$(twin ec2 register-image --dry-run --name "$name-$$" --root-device-name /dev/xvda --architecture x86_64 \
            --virtualization-type hvm --block-device-mappings "DeviceName=/dev/xvda,Ebs={SnapshotId=$copied}" "${@:3}" 2>&1) || true
        is_answered "$1" "$2" "$said"
    }
    tagged=(--tag-specifications "ResourceType=image,Tags=[{Key=ami-promoter:delivery,Value=00000000000000000000}]")
    target iam put-role-policy --role-name "$name" --policy-name "$name-own" --policy-document "{\"Version\": \"2012-10-17\",
        \"Statement\": [{\"Effect\": \"Deny\", \"Action\": \"ec2:RegisterImage\", \"Resource\": \"arn:aws:ec2:*::snapshot/snap-*\",
        \"Condition\": {\"StringEquals\": {\"ec2:Owner\": \"$target_account\"},
        \"StringNotEquals\": {\"aws:ResourceTag/ami-promoter:hub\": \"$hub_account\"}}}]}"
    later target iam delete-role-policy --role-name "$name" --policy-name "$name-own"
    sleep 20
    registers denied "an AMI of a snapshot of the account's own that the hub did not make" "${tagged[@]}"
    if ! said=$(target ec2 create-tags --resources "$copied" --tags "Key=ami-promoter:hub,Value=$hub_account" 2>&1); then
        echo "   not asked: $said"
    else
        sleep 20
        registers allowed "an AMI with its delivery's tag" "${tagged[@]}"
        registers denied "an AMI without it"
    fi
fi

title "19. DescribeImageReferences refuses a caller without the right to list what it looks at"
alone='{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "ec2:DescribeImageReferences", "Resource": "*"}]}'
target iam put-role-policy --role-name "$name" --policy-name "$name-references" --policy-document "$alone"
later target iam delete-role-policy --role-name "$name" --policy-name "$name-references"
sleep 20
enter_twin --policy "$alone"
seen=$(target ec2 describe-images --owners amazon --filters Name=state,Values=available --max-items 1 --query 'Images[0].ImageId' |
    head -n 1)
said=$(twin ec2 describe-image-references --image-ids "$seen" --include-all-resource-types 2>&1) && said=allowed
is_answered denied "a caller without the right to list" "$said"
