variable "name" {
  description = "Name of the cluster, also in the names of its roles, bucket and file system."
  type        = string
  default     = "moa-large"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,31}$", var.name))
    error_message = "name must have 2 to 32 lower-case letters, digits or hyphens and begin with a letter: it becomes part of a bucket's name."
  }
}

variable "region" {
  description = "AWS region."
  type        = string
  default     = "us-east-1"
}

variable "api_access_cidrs" {
  description = "Addresses that may reach the Kubernetes API from outside the VPC, such as [\"203.0.113.7/32\"]. Empty: none, the API is private."
  type        = list(string)

  validation {
    condition     = alltrue([for cidr in var.api_access_cidrs : can(cidrhost(cidr, 0)) && !endswith(cidr, "/0")])
    error_message = "api_access_cidrs must be address blocks smaller than /0: name the networks of your administrators."
  }
}

variable "kubernetes_version" {
  description = "Kubernetes version of EKS. Choose one in standard support."
  type        = string
  default     = "1.36"
}

variable "vpc_cidr" {
  description = "Addresses of the VPC; pods have addresses of it. A /16 to /20."
  type        = string
  default     = "10.0.0.0/16"

  validation {
    condition     = can(cidrhost(var.vpc_cidr, 0)) && can(regex("/(16|17|18|19|20)$", var.vpc_cidr))
    error_message = "vpc_cidr must be an address block from /16 to /20."
  }
}

variable "zones" {
  description = "Number of availability zones: more zones have more spot capacity. 2 to 4."
  type        = number
  default     = 3

  validation {
    condition     = var.zones >= 2 && var.zones <= 4
    error_message = "zones must be 2 to 4."
  }
}

variable "nat_gateway_per_zone" {
  description = "One NAT gateway in each zone. Otherwise one for all, whose zone takes the others' way out with it."
  type        = bool
  default     = false
}

variable "namespace" {
  description = "Namespace of the Helm release."
  type        = string
  default     = "moa"
}

variable "release" {
  description = "Name of the Helm release, which is that of the service account of its workers."
  type        = string
  default     = "moa"
}

variable "image_tag" {
  description = "Tag of the image in the values."
  type        = string
  default     = "0.1.0"
}

variable "create_spot_role" {
  description = "Create the service-linked role of EC2 Spot; an error if the account has used spot instances before."
  type        = bool
  default     = false
}

variable "delete_data" {
  description = "Let `terraform destroy` delete the weights in the bucket and the images in the registry."
  type        = bool
  default     = false
}

variable "tags" {
  description = "Tags of all resources, besides `cost-center`."
  type        = map(string)
  default     = {}
}
