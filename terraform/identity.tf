# Roles that pods have through Pod Identity.

module "ebs_csi" {
  source  = "terraform-aws-modules/eks-pod-identity/aws"
  version = "2.8.1"

  name                      = "${var.name}-ebs-csi"
  attach_aws_ebs_csi_policy = true
}

module "efs_csi" {
  source  = "terraform-aws-modules/eks-pod-identity/aws"
  version = "2.8.1"

  name                      = "${var.name}-efs-csi"
  attach_aws_efs_csi_policy = true
}

module "load_balancer" {
  source  = "terraform-aws-modules/eks-pod-identity/aws"
  version = "2.8.1"

  name                            = "${var.name}-load-balancer"
  attach_aws_lb_controller_policy = true

  associations = {
    controller = {
      cluster_name    = module.eks.cluster_name
      namespace       = "kube-system"
      service_account = "aws-load-balancer-controller"
    }
  }
}

# The engines read the weights; a job of docs/operations.md copies them.
module "weights" {
  source  = "terraform-aws-modules/eks-pod-identity/aws"
  version = "2.8.1"

  name                 = "${var.name}-weights"
  attach_custom_policy = true

  policy_statements = [
    {
      sid       = "ListWeights"
      actions   = ["s3:ListBucket"]
      resources = [aws_s3_bucket.weights.arn]
    },
    {
      sid       = "ReadWeights"
      actions   = ["s3:GetObject"]
      resources = ["${aws_s3_bucket.weights.arn}/models/*"]
    }
  ]

  association_defaults = {
    cluster_name = module.eks.cluster_name
    namespace    = var.namespace
  }

  associations = {
    workers = {
      service_account = var.release
    }
    copy = {
      service_account = "copy-weights"
    }
  }
}
