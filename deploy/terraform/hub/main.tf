# The hub: puts the released package and template into a bucket, and deploys the template.

terraform {
  required_version = ">= 1.3"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

variable "release" {
  description = "Folder of an unpacked release."
  type        = string
}

variable "bucket" {
  description = "Existing bucket for package and template, in the hub's account and Region."
  type        = string
}

variable "parameters" {
  description = "Parameters of the hub's stack, such as { TargetAccounts = \"222222222222\" }: docs/reference/parameters.md."
  type        = map(string)
}

variable "name" {
  description = "Name of the stack; `ami-promoter doctor` looks for this one."
  type        = string
  default     = "ami-promoter"
}

variable "tags" {
  description = "Tags of the stack, which CloudFormation passes on to its resources."
  type        = map(string)
  default     = {}
}

locals {
  package = one(fileset(var.release, "ami-promoter-hub-*.zip"))
}

data "aws_s3_bucket" "release" {
  bucket = var.bucket
}

# Another release has another key. The old package and template stay until the stack is updated: a rollback needs them.
resource "aws_s3_object" "package" {
  bucket      = var.bucket
  key         = local.package
  source      = "${var.release}/${local.package}"
  source_hash = filemd5("${var.release}/${local.package}")

  lifecycle {
    create_before_destroy = true
  }
}

# The template is larger than CloudFormation takes as text. Another template has another key, so that the stack changes.
resource "aws_s3_object" "template" {
  bucket = var.bucket
  key    = "ami-promoter-hub-${filesha256("${var.release}/hub.yaml")}.yaml"
  source = "${var.release}/hub.yaml"

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_cloudformation_stack" "hub" {
  name         = var.name
  template_url = "https://${data.aws_s3_bucket.release.bucket_regional_domain_name}/${aws_s3_object.template.key}"
  capabilities = ["CAPABILITY_NAMED_IAM"]
  parameters = merge(var.parameters, {
    PackageBucket = aws_s3_object.package.bucket # the package is there before the stack
    PackagePrefix = ""
  })
  tags = var.tags
}

output "outputs" {
  description = "The stack's outputs, such as TopicArn: docs/reference/parameters.md."
  value       = aws_cloudformation_stack.hub.outputs
}
