# A target: deploys the released template in one account and Region, those of the provider.

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
  description = "Parameters of the target's stack: HubAccountId, HubRegion and ExternalId; others are in docs/reference/parameters.md."
  type        = map(string)
}

variable "name" {
  description = "Name of the stack."
  type        = string
  default     = "ami-promoter-target"
}

variable "tags" {
  description = "Tags of the stack, which CloudFormation passes on to its resources."
  type        = map(string)
  default     = {}
}

resource "aws_cloudformation_stack" "target" {
  name          = var.name
  template_body = file("${var.release}/target.yaml")
  capabilities  = ["CAPABILITY_NAMED_IAM"]
  parameters    = var.parameters
  tags          = var.tags
}

output "outputs" {
  description = "The stack's outputs, such as KeyArn."
  value       = aws_cloudformation_stack.target.outputs
}
