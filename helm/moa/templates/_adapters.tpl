{{/* LoRA adapters of a model. Each takes a dict with `model` (values of the model) and what else is listed. */}}

{{/* vLLM's max_lora_rank: the smallest of its values that holds all adapters. */}}
{{- define "moa.adapterRank" -}}
{{- $most := 1 -}}
{{- range .model.adapters }}{{ $most = max $most (int .rank) }}{{ end -}}
{{- $found := "" -}}
{{- range (list 1 8 16 32 64 128 256 320 512) }}{{ if and (not $found) (ge . $most) }}{{ $found = toString . }}{{ end }}{{ end -}}
{{- $found -}}
{{- end -}}

{{/* Inputs plus outputs of the linear layers of one layer of the model, as in deployments/plan/adapter_memory.py. */}}
{{- define "moa.linearWidth" -}}
{{- $shape := .model.shape -}}
{{- with $shape.linearWidth -}}
{{ int64 . }}
{{- else -}}
{{ ceil (mulf 5.6 (include "moa.squareRoot" (divf $shape.parameters $shape.layers) | float64)) | int64 }}
{{- end -}}
{{- end -}}

{{/* Square root of a number above 1, by Newton's method. */}}
{{- define "moa.squareRoot" -}}
{{- $of := float64 . -}}
{{- $root := $of -}}
{{- range until 60 }}{{ $root = divf (addf $root (divf $of $root)) 2.0 }}{{ end -}}
{{- printf "%.3f" $root -}}
{{- end -}}

{{/* GiB that one adapter of the model's largest rank takes, in 16 bits. */}}
{{- define "moa.adapterGiB" -}}
{{- divf (mulf .model.shape.layers (include "moa.linearWidth" . | float64) (include "moa.adapterRank" . | float64) 2) 1073741824 -}}
{{- end -}}

{{/* GiB on all GPUs of a replica for the adapters of one batch: tensor parallelism splits one of two matrices. */}}
{{- define "moa.adapterGpuGiB" -}}
{{- if .model.adapters -}}
{{- $slots := int (default (min 8 (len .model.adapters)) .model.engineKwargs.max_loras) -}}
{{- mulf $slots (include "moa.adapterGiB" . | float64) (divf (add 1 (int .model.gpus)) 2) -}}
{{- else -}}
0
{{- end -}}
{{- end -}}

{{/* GiB of the files of all adapters, in the memory and, if they are copied, on the disk of the pod. */}}
{{- define "moa.adapterFilesGiB" -}}
{{- if .model.adapters -}}
{{- ceil (mulf (len .model.adapters) (include "moa.adapterGiB" . | float64)) | int64 -}}
{{- else -}}
0
{{- end -}}
{{- end -}}

{{/* `adapters` of the model in the profile, as JSON. (model, context) */}}
{{- define "moa.adapters" -}}
{{- $list := list -}}
{{- range $id, $adapter := .model.adapters -}}
{{- $source := include "moa.weightsOf" (dict "id" $id "hub" $adapter.hub "context" $.context) -}}
{{- $item := dict "id" $id "source" $source "description" ($adapter.description | default "") -}}
{{- with $adapter.chatTemplate }}{{ $_ := set $item "chat_template" . }}{{ end -}}
{{- with $adapter.usdPerMillionTokens }}{{ $_ := set $item "usd_per_million_tokens" . }}{{ end -}}
{{- $list = append $list $item -}}
{{- end -}}
{{- toJson $list -}}
{{- end -}}

{{/* Place of the weights of a model or an adapter: of the weights source. (id, hub, context) */}}
{{- define "moa.weightsOf" -}}
{{- $weights := .context.Values.weights -}}
{{- if eq $weights.source "s3" -}}
{{ trimSuffix "/" $weights.s3.uri }}/{{ .id }}
{{- else if has $weights.source (list "pvc" "nvme") -}}
/models/{{ .id }}
{{- else -}}
{{ .hub }}
{{- end -}}
{{- end -}}

{{/* Ids that a team can name: models and their adapters, as JSON. (context) */}}
{{- define "moa.servedIds" -}}
{{- $ids := list -}}
{{- range $id, $model := .context.Values.models }}{{ $ids = concat $ids (list $id) (keys ($model.adapters | default dict)) }}{{ end -}}
{{- toJson $ids -}}
{{- end -}}

{{/* Refuses adapters that the server cannot have. (id, model, context) */}}
{{- define "moa.validateAdapters" -}}
{{- $id := .id -}}
{{- $model := .model -}}
{{- if $model.adapters -}}
{{- if ne (default "generate" $model.task) "generate" -}}
{{- fail (printf "models.%s.adapters: a model whose task is %s can have none, remove them." $id $model.task) -}}
{{- end -}}
{{- if and (hasKey $model.shape "activeParameters") (not (hasKey $model.shape "linearWidth")) -}}
{{- fail (printf "models.%s.shape.linearWidth is missing: set it to the inputs plus outputs of all linear layers of one layer, experts included, from which the memory of its adapters is computed." $id) -}}
{{- end -}}
{{- if eq .context.Values.weights.source "hub" -}}
{{- range $adapterId, $adapter := $model.adapters -}}
{{- if not $adapter.hub -}}
{{- fail (printf "models.%s.adapters.%s.hub is missing: weights.source is hub, set it to the adapter's Hugging Face id." $id $adapterId) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- else if hasKey $model.engineKwargs "max_loras" -}}
{{- fail (printf "models.%s.engineKwargs.max_loras is set, but the model has no adapters: remove it." $id) -}}
{{- end -}}
{{- end -}}
