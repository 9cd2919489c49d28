{{/* Bounds of a deployment's replicas for Serve, from a `replicas` of the values. */}}
{{- define "moa.bounds" -}}
{{- $bounds := dict "min_replicas" (int .min) "max_replicas" (int .max) "target_ongoing_requests" (int .targetOngoingRequests) -}}
{{- if eq (int .min) 0 }}{{ $_ := set $bounds "downscale_to_zero_delay_s" (.idleSeconds | default 1800) }}{{ end -}}
{{ toJson $bounds }}
{{- end -}}

{{/*
Checksum of the profile without the bounds of replicas: another one builds a second cluster. So does `min: 0` or its end:
orchestrators learn at their start that a model may have no replica.
*/}}
{{- define "moa.profileChecksum" -}}
{{- $profile := fromYaml (include "moa.profile" .) -}}
{{- range (append $profile.models $profile.orchestrator) }}
{{- if eq (int .replicas.min) 0 }}{{ $_ := set . "without" (.replicas.wait_s | default 0) }}{{ end }}
{{- $_ := unset . "replicas" }}
{{- end -}}
{{- toYaml $profile | sha256sum -}}
{{- end -}}

{{/* Profile for the server, made from the values. */}}
{{- define "moa.profile" -}}
{{- $values := .Values -}}
{{- $models := list -}}
{{- range $id, $model := $values.models -}}
{{- $shape := $model.shape -}}
{{- $source := include "moa.weightsOf" (dict "id" $id "hub" $model.hub "context" $) -}}
{{- $engine := dict "tensor_parallel_size" (int $model.gpus) "max_model_len" (int $model.contextTokens) "gpu_memory_utilization" $values.gpuMemoryUtilization -}}
{{- if eq $values.weights.source "s3" -}}
{{- $_ := set $engine "load_format" "runai_streamer" -}}
{{- /* Each rank reads its part and sends it to the others; else each reads the whole checkpoint. */ -}}
{{- if and (gt (int $model.gpus) 1) (not (hasKey (get $model.engineKwargs "model_loader_extra_config" | default dict) "distributed")) -}}
{{- $_ := set $engine "model_loader_extra_config" (dict "distributed" true) -}}
{{- end -}}
{{- end -}}
{{- if $model.adapters }}{{ $_ := set $engine "max_lora_rank" (include "moa.adapterRank" (dict "model" $model) | int) }}{{ end -}}
{{- $bundle := dict "GPU" 1 "CPU" 1 (printf "moa-%s" (include "moa.groupName" $id)) 0.001 -}}
{{- $sizes := dict "parameters" ($shape.parameters | int64) "layers" (int $shape.layers) "kv_heads" (int $shape.kvHeads) "head_dim" (int $shape.headDim) "weight_bits" $shape.weightBits "kv_bits" (int $shape.kvBits) -}}
{{- range $key, $field := dict "activeParameters" "active_parameters" "fullAttentionLayers" "full_attention_layers" "windowTokens" "window_tokens" "linearWidth" "linear_width" -}}
{{- if hasKey $shape $key -}}
{{- $_ := set $sizes $field (get $shape $key | int64) -}}
{{- end -}}
{{- end -}}
{{- $abilities := pick $model "thinking" "tools" "task" -}}
{{- $replicas := dict "min" (int $model.replicas.min) "max" (int $model.replicas.max) "target_ongoing_requests" (int $model.replicas.targetOngoingRequests) -}}
{{- with $model.replicas.idleSeconds }}{{ $_ := set $replicas "idle_s" . }}{{ end -}}
{{- with $model.replicas.waitSeconds }}{{ $_ := set $replicas "wait_s" . }}{{ end -}}
{{- if $model.adapters }}{{ $_ := set $abilities "adapters" (fromJsonArray (include "moa.adapters" (dict "model" $model "context" $))) }}{{ end -}}
{{- $models = append $models (merge $abilities (deepCopy ($model.settings | default dict)) (dict
  "id" $id
  "source" $source
  "description" $model.description
  "accelerator" "gpu"
  "shape" $sizes
  "engine_kwargs" (merge $engine $model.engineKwargs)
  "placement" (dict "bundle_per_worker" $bundle "strategy" "STRICT_PACK")
  "replicas" $replicas
  "usd_per_million_tokens" $model.usdPerMillionTokens
  "drain_s" (int $values.shutdown.drainSeconds))) -}}
{{- end -}}
{{- $orchestrator := merge (dict
  "replicas" (dict "min" (int $values.orchestrator.replicas.min) "max" (int $values.orchestrator.replicas.max) "target_ongoing_requests" (int $values.orchestrator.replicas.targetOngoingRequests))
  "num_cpus" $values.orchestrator.cpusPerReplica
  "resources" (dict "moa-orchestrator" 1)
  "drain_s" (int $values.shutdown.drainSeconds)) (deepCopy ($values.orchestrator.settings | default dict)) -}}
{{- /* Without a database every pod would have records of its own, which end with it. */ -}}
{{- $store := merge (dict "enabled" (ne $values.store.database.existingSecret "")) (deepCopy ($values.store.settings | default dict)) -}}
{{- if and $values.store.redis.existingSecret (not $values.store.database.existingSecret) -}}
{{- fail "store.redis.existingSecret: set store.database.existingSecret, too: Redis keeps only what expires." -}}
{{- end -}}
{{- $profile := dict
  "name" (include "moa.fullname" .)
  "description" "written by the Helm chart"
  "models" $models
  "team" $values.team
  "recipes" $values.recipes
  "api" (merge (dict "max_in_flight" (ternary nil (int $values.api.maxInFlight) (eq (int $values.api.maxInFlight) 0)) "deadline_s" (int $values.api.deadlineSeconds)) (deepCopy ($values.api.settings | default dict)))
  "store" $store
  "orchestrator" $orchestrator -}}
{{- with $values.quality }}{{ $_ := set $profile "quality" (deepCopy .) }}{{ end -}}
{{- if $values.batches.enabled -}}
{{- $_ := set $profile "batches" (merge (dict "enabled" true "files" $values.batches.files "num_cpus" 0 "resources" (dict "moa-batches" 0.001)) (deepCopy ($values.batches.settings | default dict))) -}}
{{- end -}}
{{- toYaml $profile -}}
{{- end -}}
