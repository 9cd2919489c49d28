module "eks" {
  source  = "terraform-aws-modules/eks/aws"
  version = "21.19.0"

  name               = var.name
  kubernetes_version = var.kubernetes_version

  # EKS upgrades the control plane at the end of standard support; extended support would cost six times as much.
  upgrade_policy = {
    support_type = "STANDARD"
  }

  endpoint_public_access                   = length(var.api_access_cidrs) > 0
  endpoint_public_access_cidrs             = length(var.api_access_cidrs) > 0 ? var.api_access_cidrs : null
  enable_cluster_creator_admin_permissions = true

  vpc_id                   = module.vpc.vpc_id
  subnet_ids               = module.vpc.private_subnets
  control_plane_subnet_ids = module.vpc.intra_subnets

  addons = {
    coredns    = {}
    kube-proxy = {}
    eks-pod-identity-agent = {
      before_compute = true
    }
    vpc-cni = {
      before_compute = true
      # Network policies are not enforced otherwise.
      configuration_values = jsonencode({ enableNetworkPolicy = "true" })
    }
    aws-ebs-csi-driver = {
      # EKS has no default storage class of its own.
      configuration_values = jsonencode({ defaultStorageClass = { enabled = true } })
      pod_identity_association = [{
        role_arn        = module.ebs_csi.iam_role_arn
        service_account = "ebs-csi-controller-sa"
      }]
    }
    aws-efs-csi-driver = {
      pod_identity_association = [{
        role_arn        = module.efs_csi.iam_role_arn
        service_account = "efs-csi-controller-sa"
      }]
    }
  }

  # Karpenter and the other operators; all other nodes are Karpenter's.
  eks_managed_node_groups = {
    system = {
      ami_type       = "AL2023_x86_64_STANDARD"
      instance_types = ["m7i.large"]
      min_size       = 2
      max_size       = 3
      desired_size   = 2
    }
  }

  node_security_group_tags = {
    "karpenter.sh/discovery" = var.name
  }
}

# The controller's role, the nodes' role, and the queue with the notices of EC2 and its rules.
module "karpenter" {
  source  = "terraform-aws-modules/eks/aws//modules/karpenter"
  version = "21.19.0"

  cluster_name = module.eks.cluster_name
  queue_name   = var.name

  # The chart's default.
  node_iam_role_use_name_prefix = false
  node_iam_role_name            = "KarpenterNodeRole-${var.name}"

  # Longer than IAM allows a policy of its own to be.
  enable_inline_policy = true
}

resource "aws_iam_service_linked_role" "spot" {
  count = var.create_spot_role ? 1 : 0

  aws_service_name = "spot.amazonaws.com"
}
