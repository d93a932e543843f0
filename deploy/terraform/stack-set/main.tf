# Targets by OU: deploys the released template that has the StackSet, in the management account or a delegated administrator's.
# The StackSet is in that template and not a resource here: Terraform would show every parameter with a default as a change.

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

variable "parameters" {
  description = "Parameters: OrganizationalUnitIds, Regions, HubAccountId, HubRegion and ExternalId; others are in docs/reference/parameters.md."
  type        = map(string)
}

variable "name" {
  description = "Name of the stack."
  type        = string
  default     = "ami-promoter-targets"
}

variable "tags" {
  description = "Tags of the stack."
  type        = map(string)
  default     = {}
}

resource "aws_cloudformation_stack" "targets" {
  name          = var.name
  template_body = file("${var.release}/target-stackset.yaml")
  parameters    = var.parameters
  tags          = var.tags

  # CloudFormation lets a StackSet take 36 hours. Terraform's 30 minutes would take a new stack that is still at work for
  # broken, and its next run would delete it, with the roles in all targets.
  timeouts {
    create = "36h"
    update = "36h"
    delete = "36h"
  }
}
