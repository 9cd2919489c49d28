data "aws_availability_zones" "available" {
  # Without local zones.
  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }
}

data "aws_caller_identity" "current" {}

locals {
  tags  = merge({ "cost-center" = "moa" }, var.tags)
  zones = slice(data.aws_availability_zones.available.names, 0, var.zones)
}

module "vpc" {
  source  = "terraform-aws-modules/vpc/aws"
  version = "6.6.0"

  name = var.name
  cidr = var.vpc_cidr
  azs  = local.zones

  # Of 16 equal parts, the first are private; the others are of the last parts.
  private_subnets = [for index, zone in local.zones : cidrsubnet(var.vpc_cidr, 4, index)]
  public_subnets  = [for index, zone in local.zones : cidrsubnet(var.vpc_cidr, 8, index + 240)]
  intra_subnets   = [for index, zone in local.zones : cidrsubnet(var.vpc_cidr, 8, index + 248)]

  enable_nat_gateway     = true
  single_nat_gateway     = !var.nat_gateway_per_zone
  one_nat_gateway_per_az = var.nat_gateway_per_zone

  public_subnet_tags = {
    "kubernetes.io/role/elb" = 1
  }

  private_subnet_tags = {
    "kubernetes.io/role/internal-elb" = 1
    # Karpenter starts nodes in subnets with this tag.
    "karpenter.sh/discovery" = var.name
  }
}

# Weights and layers of images come from S3: through NAT each gigabyte would be charged.
resource "aws_vpc_endpoint" "s3" {
  vpc_id            = module.vpc.vpc_id
  service_name      = "com.amazonaws.${var.region}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = concat(module.vpc.private_route_table_ids, module.vpc.public_route_table_ids)

  tags = { Name = "${var.name}-s3" }
}
