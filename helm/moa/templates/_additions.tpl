{{/*
Additions to pods from the values: `pods` for all Ray pods, and each component's own `pod`. What the chart or KubeRay sets is
refused. The definitions take the dict of the pod (`context`, `path` of its values, `pod`: its additions) and what is set already.
*/}}

{{/* Variables and volumes that KubeRay 1.7 adds to Ray containers, or refuses there. */}}
{{- define "moa.ofKubeRay" -}}
env: [RAY_AUTH_MODE, RAY_AUTH_TOKEN, RAY_ENABLE_K8S_TOKEN_AUTH, RAY_REDIS_ADDRESS, REDIS_PASSWORD, REDIS_USERNAME, RAY_external_storage_namespace, RAY_gcs_storage, RAY_gcs_storage_path, RAY_enable_autoscaler_v2, RAY_ADDRESS, RAY_IP, FQ_RAY_IP, RAY_PORT, RAY_CLUSTER_NAME, RAY_CLUSTER_NAMESPACE, RAY_CLOUD_INSTANCE_ID, RAY_NODE_TYPE_NAME, RAY_DASHBOARD_ADDRESS, KUBERAY_GEN_RAY_START_CMD, RAY_USAGE_STATS_KUBERAY_IN_USE, RAY_USAGE_STATS_EXTRA_TAGS, RAY_USE_TLS, RAY_TLS_SERVER_CERT, RAY_TLS_SERVER_KEY, RAY_TLS_CA_CERT]
volumes: [shared-mem, ray-logs, ray-token, ray-tls, gcs-storage, autoscaler-ray-token]
{{- end -}}

{{/* The values that add to a pod, with their paths, as a YAML list. Redis is no Ray pod: `pods` does not count. */}}
{{- define "moa.additionSources" -}}
{{- $sources := list -}}
{{- if ne .component "redis" }}{{ $sources = append $sources (dict "path" "pods" "pod" .context.Values.pods) }}{{ end -}}
{{- toYaml (append $sources (dict "path" .path "pod" (.pod | default dict))) -}}
{{- end -}}

{{/* `extraEnv`: list of variables, after those of the chart. (set: YAML list of the chart's variables) */}}
{{- define "moa.extraEnv" -}}
{{- $names := (include "moa.ofKubeRay" . | fromYaml).env -}}
{{- range (.set | fromYamlArray) }}{{ $names = append $names .name }}{{ end -}}
{{- $added := list -}}
{{- range $source := include "moa.additionSources" . | fromYamlArray -}}
{{- range ($source.pod.extraEnv | default list) -}}
{{- if has .name $names }}{{ fail (printf "%s.extraEnv sets %s, which is set already: remove it." $source.path .name) }}{{ end -}}
{{- $names = append $names .name -}}
{{- $added = append $added . -}}
{{- end -}}
{{- end -}}
{{- with $added }}{{ toYaml . }}{{ end -}}
{{- end -}}

{{/* `extraEnvFrom` of all values. */}}
{{- define "moa.extraEnvFrom" -}}
{{- $added := list -}}
{{- range (include "moa.additionSources" . | fromYamlArray) }}{{ $added = concat $added (.pod.extraEnvFrom | default list) }}{{ end -}}
{{- with $added }}{{ toYaml . }}{{ end -}}
{{- end -}}

{{/* `extraVolumes`: list of volumes, after those of the chart. (set: YAML list of the chart's volumes) */}}
{{- define "moa.extraVolumes" -}}
{{- $names := concat (list "weights" "profile") (include "moa.ofKubeRay" . | fromYaml).volumes -}}
{{- range (.set | fromYamlArray) }}{{ $names = append $names .name }}{{ end -}}
{{- $added := list -}}
{{- range $source := include "moa.additionSources" . | fromYamlArray -}}
{{- range ($source.pod.extraVolumes | default list) -}}
{{- if has .name $names }}{{ fail (printf "%s.extraVolumes has a volume %s, which exists already: rename it." $source.path .name) }}{{ end -}}
{{- $names = append $names .name -}}
{{- $added = append $added . -}}
{{- end -}}
{{- end -}}
{{- with $added }}{{ toYaml . }}{{ end -}}
{{- end -}}

{{/* `extraVolumeMounts`: list of mounts, after those of the chart. (set: YAML list of the chart's mounts) */}}
{{- define "moa.extraVolumeMounts" -}}
{{- $volumes := list -}}
{{- $paths := list "/models" "/etc/moa" -}}
{{- range (.set | fromYamlArray) }}{{ $volumes = append $volumes .name }}{{ $paths = append $paths .mountPath }}{{ end -}}
{{- $added := list -}}
{{- $sources := include "moa.additionSources" . | fromYamlArray -}}
{{- range $sources }}{{ range (.pod.extraVolumes | default list) }}{{ $volumes = append $volumes .name }}{{ end }}{{ end -}}
{{- range $source := $sources -}}
{{- range ($source.pod.extraVolumeMounts | default list) -}}
{{- $path := trimSuffix "/" .mountPath -}}
{{- if not (has .name $volumes) }}{{ fail (printf "%s.extraVolumeMounts mounts %s, which is not in extraVolumes (%s): add it, or correct the name." $source.path .name (sortAlpha $volumes | join ", ")) }}{{ end -}}
{{- if has $path $paths }}{{ fail (printf "%s.extraVolumeMounts mounts %s, where a volume is already: choose another path." $source.path $path) }}{{ end -}}
{{- $paths = append $paths $path -}}
{{- $added = append $added . -}}
{{- end -}}
{{- end -}}
{{- with $added }}{{ toYaml . }}{{ end -}}
{{- end -}}

{{/* `podLabels` or `podAnnotations` of all values, as YAML. (field, set: names of the chart's own) */}}
{{- define "moa.extraMetadata" -}}
{{- $added := dict -}}
{{- $field := .field -}}
{{- $names := .set -}}
{{- range $source := include "moa.additionSources" . | fromYamlArray -}}
{{- range $key, $value := (get $source.pod $field | default dict) -}}
{{- if or (has $key $names) (regexMatch "^(moa|ray\\.io|app\\.kubernetes\\.io|helm\\.sh)/" $key) (eq $key "karpenter.sh/do-not-disrupt") }}{{ fail (printf "%s.%s sets %s, which the chart sets: remove it." $source.path $field $key) }}{{ end -}}
{{- $_ := set $added $key $value -}}
{{- end -}}
{{- end -}}
{{- with $added }}{{ toYaml . }}{{ end -}}
{{- end -}}

{{/* Image of a component: its own, or `image`. (context, path, image) */}}
{{- define "moa.componentImage" -}}
{{- $image := .context.Values.image -}}
{{- $own := .image | default dict -}}
{{- if $own.repository -}}
{{- if not (or $own.tag $own.digest) }}{{ fail (printf "%s.image names a repository without a tag or a digest: add one." (trimSuffix ".pod" .path)) }}{{ end -}}
{{- $image = $own -}}
{{- else if or $own.tag $own.digest -}}
{{- fail (printf "%s.image has no repository: add it, or remove its tag and digest." (trimSuffix ".pod" .path)) -}}
{{- end -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ default .context.Chart.AppVersion $image.tag }}
{{- end -}}
{{- end -}}
