{{/* Weights of a model: memory and disk that they need, and their copy to the node. Without another list: (context, model) */}}

{{/* GiB of a Kubernetes quantity, as a number. */}}
{{- define "moa.gib" -}}
{{- $bytes := dict "" 1 "m" 0.001 "k" 1000 "Ki" 1024 "M" 1000000 "Mi" 1048576 "G" 1000000000 "Gi" 1073741824 "T" 1000000000000 "Ti" 1099511627776 -}}
{{- divf (mulf (regexFind "^[0-9.]+" . | float64) (get $bytes (regexFind "[A-Za-z]*$" .))) 1073741824 -}}
{{- end -}}

{{/* GiB of the files of a model's weights and adapters: of the weights a tenth more than the shape gives, for layers that are stored in more bits. */}}
{{- define "moa.weightsGiB" -}}
{{- $adapters := include "moa.adapterFilesGiB" . | int64 -}}
{{- add (ceil (divf (mulf .model.shape.parameters .model.shape.weightBits 1.1) 8 1073741824) | int64) $adapters -}}
{{- end -}}

{{/* Largest size of the volume of the weights that are copied to the node. */}}
{{- define "moa.weightsLimit" -}}
{{- default (printf "%sGi" (include "moa.weightsGiB" .)) .context.Values.weights.nvme.sizeLimit -}}
{{- end -}}

{{/* Disk of a model's pod: `resources.ephemeralStorage`, and the weights if they are copied to the pod. Empty: no limit. */}}
{{- define "moa.modelDisk" -}}
{{- $source := .context.Values.weights.source -}}
{{- with .model.resources.ephemeralStorage -}}
{{- if eq $source "nvme" -}}
{{ ceil (addf (include "moa.gib" . | float64) (include "moa.gib" (include "moa.weightsLimit" $) | float64)) | int64 }}Gi
{{- else if eq $source "hub" -}}
{{ ceil (addf (include "moa.gib" . | float64) (include "moa.weightsGiB" $ | float64)) | int64 }}Gi
{{- else if and (eq $source "s3") $.model.adapters -}}
{{ ceil (addf (include "moa.gib" . | float64) (include "moa.adapterFilesGiB" $ | float64)) | int64 }}Gi
{{- else -}}
{{ . }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Init container that copies one folder of weights to the node. (context, name, id; cpu, memoryGiB: half of its limits) */}}
{{- define "moa.copyWeights" -}}
{{- $weights := .context.Values.weights -}}
- name: {{ .name }}
  image: {{ $weights.nvme.image }}
  command: [aws, s3, sync, --no-progress, {{ printf "%s/%s" (trimSuffix "/" $weights.s3.uri) .id | quote }}, {{ printf "/models/%s" .id | quote }}]
  env:
    - {name: HOME, value: /tmp}
  resources:
    requests: {cpu: {{ .cpu | quote }}, memory: {{ .memoryGiB }}Gi}
    limits: {cpu: {{ mul 2 .cpu | quote }}, memory: {{ mul 2 .memoryGiB }}Gi}
  securityContext:
    {{- include "moa.containerSecurity" .context | nindent 4 }}
  volumeMounts:
    - {name: weights, mountPath: /models}
    - {name: tmp, mountPath: /tmp}
{{- end -}}

{{/* GiB of memory that a model's pod needs: shared memory, Ray and the engine, each GPU's worker and its buffer. */}}
{{- define "moa.modelMemoryGiB" -}}
{{- $buffer := ternary (int .context.Values.weights.s3.bufferGiB) 0 (eq .context.Values.weights.source "s3") -}}
{{- add 16 8 (mul (int .model.gpus) (add 4 $buffer)) (include "moa.adapterFilesGiB" . | int64) -}}
{{- end -}}

{{/* Refuses limits below what the weights of a model need. (id, model, context) */}}
{{- define "moa.validateWeights" -}}
{{- $need := include "moa.modelMemoryGiB" . -}}
{{- if lt (include "moa.gib" .model.resources.memory | float64) (float64 $need) -}}
{{- fail (printf "models.%s.resources.memory is %s, below the %s GiB that its engine needs while it loads: raise it%s." .id .model.resources.memory $need (ternary ", or lower weights.s3.bufferGiB" "" (eq .context.Values.weights.source "s3"))) -}}
{{- end -}}
{{- $limit := .context.Values.weights.nvme.sizeLimit -}}
{{- if and $limit (eq .context.Values.weights.source "nvme") -}}
{{- if lt (include "moa.gib" $limit | float64) (include "moa.weightsGiB" . | float64) -}}
{{- fail (printf "weights.nvme.sizeLimit is %s, below the %s GiB of the weights of '%s': raise it, or leave it empty." $limit (include "moa.weightsGiB" .) .id) -}}
{{- end -}}
{{- end -}}
{{- end -}}
