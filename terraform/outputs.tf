locals {
  # Values of helm/moa that depend on the account. Add your own in a second file.
  helm_values = {
    image = {
      repository = aws_ecr_repository.image.repository_url
      tag        = var.image_tag
    }
    weights = {
      source = "s3"
      s3 = {
        uri = "s3://${aws_s3_bucket.weights.bucket}/models"
      }
    }
    compileCache = {
      kind             = "pvc"
      storageClassName = "efs-sc"
    }
    networkPolicy = {
      apiServerCidrs = [module.vpc.vpc_cidr_block, module.eks.cluster_service_cidr]
    }
    karpenter = {
      clusterName = module.eks.cluster_name
      nodeRole    = module.karpenter.node_iam_role_name
    }
    monitoring = {
      podMonitor = {
        labels = { release = "prometheus" }
      }
      rules = {
        labels = { release = "prometheus" }
      }
    }
    costLabels = { "cost-center" = local.tags["cost-center"] }
  }

  storage_class = {
    apiVersion  = "storage.k8s.io/v1"
    kind        = "StorageClass"
    metadata    = { name = "efs-sc" }
    provisioner = "efs.csi.aws.com"
    parameters = {
      provisioningMode = "efs-ap"
      fileSystemId     = aws_efs_file_system.cache.id
      directoryPerms   = "700"
      uid              = "1000"
      gid              = "1000"
    }
  }
}

output "helm_values" {
  description = "Values for helm/moa: terraform output -raw helm_values > aws-values.yaml"
  value       = yamlencode(local.helm_values)
}

output "storage_class" {
  description = "Storage class of the compile cache: terraform output -raw storage_class | kubectl apply -f -"
  value       = yamlencode(local.storage_class)
}

output "environment" {
  description = "Variables of the commands in docs/operations.md: eval \"$(terraform output -raw environment)\""
  value       = <<-EOT
    export CLUSTER=${module.eks.cluster_name}
    export REGION=${var.region}
    export ACCOUNT=${data.aws_caller_identity.current.account_id}
    export VPC=${module.vpc.vpc_id}
    export EFS=${aws_efs_file_system.cache.id}
    export IMAGE=${aws_ecr_repository.image.repository_url}
  EOT
}
