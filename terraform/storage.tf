resource "aws_s3_bucket" "weights" {
  bucket        = "${var.name}-weights-${data.aws_caller_identity.current.account_id}"
  force_destroy = var.delete_data
}

resource "aws_s3_bucket_public_access_block" "weights" {
  bucket = aws_s3_bucket.weights.id

  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_server_side_encryption_configuration" "weights" {
  bucket = aws_s3_bucket.weights.id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "weights" {
  bucket = aws_s3_bucket.weights.id

  rule {
    id     = "parts-of-broken-uploads"
    status = "Enabled"

    filter {}

    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }
}

# Compile cache of the engines, which several nodes write.
resource "aws_efs_file_system" "cache" {
  encrypted = true

  tags = { Name = var.name }
}

resource "aws_efs_mount_target" "cache" {
  count = var.zones

  file_system_id  = aws_efs_file_system.cache.id
  subnet_id       = module.vpc.private_subnets[count.index]
  security_groups = [aws_security_group.efs.id]
}

resource "aws_security_group" "efs" {
  name        = "${var.name}-efs"
  description = "NFS from the cluster's nodes"
  vpc_id      = module.vpc.vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "nfs" {
  security_group_id            = aws_security_group.efs.id
  description                  = "NFS from the cluster's nodes"
  referenced_security_group_id = module.eks.node_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = 2049
  to_port                      = 2049
}

resource "aws_ecr_repository" "image" {
  name                 = "${var.name}/moa-gpu"
  image_tag_mutability = "IMMUTABLE"
  force_delete         = var.delete_data

  image_scanning_configuration {
    scan_on_push = true
  }
}
