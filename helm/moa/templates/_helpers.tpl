{{- define "moa.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 47 | trimSuffix "-" -}}
{{- end -}}

{{/* KubeRay: a RayService's name has at most 47 characters and is a DNS-1035 label. */}}
{{- define "moa.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 47 | trimSuffix "-" -}}
{{- else if contains (include "moa.name" .) .Release.Name -}}
{{- .Release.Name | trunc 47 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "moa.name" .) | trunc 47 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/*
Name of objects outside namespaces: the full name if that is also the namespace's, else both with a dot, which neither can have.
So releases of one name in two namespaces have objects of their own. At most 47 characters: names of node pools are labels.
*/}}
{{- define "moa.clusterwideName" -}}
{{- $name := include "moa.fullname" . -}}
{{- if ne $name .Release.Namespace }}{{ $name = printf "%s.%s" .Release.Namespace $name }}{{ end -}}
{{- if gt (len $name) 47 -}}
{{- printf "%s-%s" (trunc 38 $name | trimSuffix "-" | trimSuffix ".") (sha256sum $name | trunc 8) -}}
{{- else -}}
{{- $name -}}
{{- end -}}
{{- end -}}

{{- define "moa.selectorLabels" -}}
app.kubernetes.io/part-of: moa
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "moa.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{ include "moa.selectorLabels" . }}
{{- end -}}

{{- define "moa.workerAccount" -}}
{{- if .Values.serviceAccount.create }}{{ include "moa.fullname" . }}{{ else }}{{ .Values.serviceAccount.name }}{{ end -}}
{{- end -}}

{{- define "moa.headAccount" -}}
{{- if .Values.serviceAccount.create }}{{ include "moa.fullname" . }}-head{{ else }}{{ .Values.serviceAccount.headName }}{{ end -}}
{{- end -}}

{{- define "moa.apiKeySecret" -}}
{{- default (printf "%s-api-key" (include "moa.fullname" .)) .Values.auth.apiKey.existingSecret -}}
{{- end -}}

{{- define "moa.raySecret" -}}
{{- default (printf "%s-ray-token" (include "moa.fullname" .)) .Values.auth.ray.existingSecret -}}
{{- end -}}

{{- define "moa.redisSecret" -}}
{{- default (printf "%s-redis" (include "moa.fullname" .)) .Values.gcs.redis.existingSecret -}}
{{- end -}}

{{/* Secrets with a random value that are to be made: the key of each, by name, as YAML. */}}
{{- define "moa.missingSecrets" -}}
{{- $auth := .Values.auth -}}
{{- $missing := dict -}}
{{- if not (or $auth.apiKey.existingSecret $auth.apiKey.value) }}{{ $_ := set $missing (include "moa.apiKeySecret" .) "api-key" }}{{ end -}}
{{- if not $auth.ray.existingSecret }}{{ $_ := set $missing (include "moa.raySecret" .) "auth_token" }}{{ end -}}
{{- if and (include "moa.installsRedis" .) (not .Values.gcs.redis.existingSecret) }}{{ $_ := set $missing (include "moa.redisSecret" .) "password" }}{{ end -}}
{{- toYaml $missing -}}
{{- end -}}

{{/* Empty if there is no token. */}}
{{- define "moa.hfSecret" -}}
{{- if .Values.auth.huggingFace.existingSecret -}}
{{ .Values.auth.huggingFace.existingSecret }}
{{- else if .Values.auth.huggingFace.token -}}
{{ include "moa.fullname" . }}-hugging-face
{{- end -}}
{{- end -}}

{{- define "moa.priorityClass" -}}
{{- if .Values.priorityClass.create }}{{ include "moa.clusterwideName" . }}{{ else }}{{ .Values.priorityClass.name }}{{ end -}}
{{- end -}}

{{- define "moa.cacheClaim" -}}
{{- default (printf "%s-compile-cache" (include "moa.fullname" .)) .Values.compileCache.existingClaim -}}
{{- end -}}

{{- define "moa.installsRedis" -}}
{{- if and .Values.gcs.faultTolerance (not .Values.gcs.redis.externalAddress) }}yes{{ end -}}
{{- end -}}

{{- define "moa.writesProfile" -}}
{{- if eq .Values.profile "values" }}yes{{ end -}}
{{- end -}}

{{/* Secret value that survives upgrades: the existing one, or a new random one. (secret, key, context) */}}
{{- define "moa.kept" -}}
{{- $found := lookup "v1" "Secret" .context.Release.Namespace .secret -}}
{{- if and $found (hasKey ($found.data | default dict) .key) -}}
{{ index $found.data .key | b64dec }}
{{- else -}}
{{ randAlphaNum 40 }}
{{- end -}}
{{- end -}}

{{/* Group name from a model's id; KubeRay uses it in pod names. */}}
{{- define "moa.groupName" -}}
{{- regexReplaceAll "[^a-z0-9-]" (lower .) "-" | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/*
GiB that one GPU must have for a model: weights and key-value cache shared by the replica's GPUs, plus the overhead of
each, over the share that vLLM may take. (model, context)
*/}}
{{- define "moa.gpuMemoryGiB" -}}
{{- $shape := .model.shape -}}
{{- $weights := divf (mulf $shape.parameters $shape.weightBits) 8 -}}
{{- $layers := $shape.fullAttentionLayers | default $shape.layers -}}
{{- $perToken := divf (mulf 2 $layers $shape.kvHeads $shape.headDim $shape.kvBits) 8 -}}
{{- $cache := mulf $perToken .model.kvTokens -}}
{{- $adapters := include "moa.adapterGpuGiB" . | float64 -}}
{{- $perGpu := addf (divf (addf $weights $cache) .model.gpus 1073741824) (divf $adapters .model.gpus) .context.Values.gpuOverheadGiB -}}
{{- ceil (divf $perGpu .context.Values.gpuMemoryUtilization) | int64 -}}
{{- end -}}

{{/* Checks of combinations that the schema cannot express. */}}
{{- define "moa.validate" -}}
{{- include "moa.validateNodes" . -}}
{{- if eq .Values.upgrade.strategy "NewClusterWithIncrementalUpgrade" -}}
{{- fail (printf "upgrade.strategy is NewClusterWithIncrementalUpgrade, with which KubeRay makes no service %s-serve-svc, as ingress, httpRoute and helm test need it, and a Gateway without TLS: set NewCluster or None." (include "moa.fullname" .)) -}}
{{- end -}}
{{- with .Values.shutdown -}}
{{- if le (int .graceSeconds) (add (int .noticeSeconds) (int .drainSeconds) | int) -}}
{{- fail (printf "shutdown.graceSeconds is %v: raise it above noticeSeconds + drainSeconds (%v + %v), or lower those." .graceSeconds .noticeSeconds .drainSeconds) -}}
{{- end -}}
{{- end -}}
{{- range $id, $model := .Values.models -}}
{{- with $model.replicas -}}
{{- if gt (int .min) (int .max) -}}
{{- fail (printf "models.%s.replicas.min is %v, above max (%v): raise max or lower min." $id .min .max) -}}
{{- end -}}
{{- if and (eq (int .min) 0) (not $.Values.autoscaler.enabled) -}}
{{- fail (printf "models.%s.replicas.min is 0, but nothing would start its pods: set autoscaler.enabled to true, or min to 1." $id) -}}
{{- end -}}
{{- $answers := append (keys ($model.adapters | default dict)) $id -}}
{{- if and (eq (int .min) 0) (has $.Values.team.aggregator $answers) -}}
{{- fail (printf "models.%s.replicas.min is 0, but it runs team.aggregator (%s), which every answer of a team needs: set min to 1, or name another." $id $.Values.team.aggregator) -}}
{{- end -}}
{{- if and (gt (int .min) 0) (or .idleSeconds .waitSeconds) -}}
{{- fail (printf "models.%s.replicas has idleSeconds or waitSeconds, which need min 0: with min %v a replica is always there; remove them or set min to 0." $id .min) -}}
{{- end -}}
{{- if gt (int .onDemandFloor) (int .min) -}}
{{- fail (printf "models.%s.replicas.onDemandFloor is %v, above min (%v): raise min or lower the floor." $id .onDemandFloor .min) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and .Values.batches.enabled (not .Values.batches.files) -}}
{{- fail "batches.files is missing: set it to s3://BUCKET/PREFIX, or to file:///FOLDER on a volume that all pods mount." -}}
{{- end -}}
{{- if and .Values.batches.enabled (include "moa.writesProfile" .) (not .Values.store.database.existingSecret) -}}
{{- fail "batches.enabled: set store.database.existingSecret, too: batches are kept in a PostgreSQL database." -}}
{{- end -}}
{{- if and .Values.batches.enabled (not (include "moa.writesProfile" .)) -}}
{{- fail (printf "batches.enabled has no effect on the profile %s: set profile to values, or batches.enabled to false." .Values.profile) -}}
{{- end -}}
{{- if include "moa.writesProfile" . -}}
{{- range $id, $model := .Values.models -}}
{{- include "moa.validateAdapters" (dict "id" $id "model" $model "context" $) -}}
{{- include "moa.validateWeights" (dict "id" $id "model" $model "context" $) -}}
{{- end -}}
{{- $ids := fromJsonArray (include "moa.servedIds" (dict "context" $)) -}}
{{- if ne (len $ids) (len (uniq $ids)) -}}
{{- fail (printf "two models or adapters have one id (%s): rename one." (sortAlpha $ids | join ", ")) -}}
{{- end -}}
{{- range (concat .Values.team.proposers (list .Values.team.aggregator .Values.team.solo .Values.team.judge)) -}}
{{- if not (has . $ids) -}}
{{- fail (printf "team names '%s', which is not in models (%s)." . (sortAlpha $ids | join ", ")) -}}
{{- end -}}
{{- $task := default dict (get $.Values.models .) | dig "task" "generate" -}}
{{- if ne $task "generate" -}}
{{- fail (printf "team names '%s', whose task is %s: it generates no text." . $task) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if gt (int .Values.orchestrator.replicas.min) (int .Values.orchestrator.replicas.max) -}}
{{- fail "orchestrator.replicas.min is above max: raise max or lower min." -}}
{{- end -}}
{{- $names := list -}}
{{- range $id, $_ := .Values.models -}}
{{- $names = append $names (include "moa.groupName" $id) -}}
{{- end -}}
{{- if ne (len $names) (len (uniq $names)) -}}
{{- fail (printf "two model ids give the same group name (%s): rename one." (sortAlpha $names | join ", ")) -}}
{{- end -}}
{{- end -}}
