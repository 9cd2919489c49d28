{{/* Pod templates of the Ray groups. Each takes a dict with `context` and the listed keys. */}}

{{- define "moa.containerSecurity" -}}
allowPrivilegeEscalation: false
capabilities:
  drop: [ALL]
privileged: false
readOnlyRootFilesystem: true
runAsNonRoot: true
{{- end -}}

{{- define "moa.podSecurity" -}}
fsGroup: 1000
fsGroupChangePolicy: OnRootMismatch
runAsGroup: 1000
runAsNonRoot: true
runAsUser: 1000
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "moa.podLabels" -}}
{{ include "moa.selectorLabels" .context }}
app.kubernetes.io/component: {{ .component }}
moa/group: {{ .group }}
{{- with .context.Values.costLabels }}
{{ toYaml . }}
{{- end }}
{{- with include "moa.extraMetadata" (merge (dict "field" "podLabels" "set" (keys .context.Values.costLabels)) .) }}
{{ . }}
{{- end }}
{{- end -}}

{{/* `ephemeralStorage` of the values is `ephemeral-storage` in Kubernetes. (resources, gpus, disk) */}}
{{- define "moa.resources" -}}
{{- $list := dict "cpu" .resources.cpu "memory" .resources.memory -}}
{{- with (default .resources.ephemeralStorage .disk) }}{{ $_ := set $list "ephemeral-storage" . }}{{ end -}}
{{- with .gpus }}{{ $_ := set $list "nvidia.com/gpu" (toString .) }}{{ end -}}
requests:
  {{- toYaml $list | nindent 2 }}
limits:
  {{- toYaml $list | nindent 2 }}
{{- end -}}

{{/* Probes, with KubeRay's thresholds. `health`: command that checks Ray on this node. The startup probe delays the other two:
a raylet that is busy for minutes, such as while an engine loads, is not restarted before ten minutes have passed. A worker gets
no requests as soon as its proxy fails; on the head, readiness only says that its service has an address. */}}
{{- define "moa.probes" -}}
startupProbe:
  exec:
    command: [bash, -c, {{ .health | quote }}]
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: {{ div .startSeconds 10 }}
livenessProbe:
  exec:
    command: [bash, -c, {{ .health | quote }}]
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: 120
readinessProbe:
  exec:
    command: [bash, -c, {{ .ready | quote }}]
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: {{ ternary 10 1 (eq .component "head") }}
{{- end -}}

{{/* The Ray container. (context, component, path, pod, image, model, resources, gpus, health, ready, startSeconds) */}}
{{- define "moa.container" -}}
name: ray-{{ .component }}
image: {{ include "moa.componentImage" . }}
imagePullPolicy: {{ .context.Values.image.pullPolicy }}
{{- $env := include "moa.environment" . }}
env:
  {{- $env | nindent 2 }}
  {{- with include "moa.extraEnv" (merge (dict "set" $env) .) }}
  {{- . | nindent 2 }}
  {{- end }}
{{- $from := include "moa.extraEnvFrom" . }}
{{- if or $from .context.Values.auth.keys.existingSecret }}
envFrom:
  {{- with .context.Values.auth.keys.existingSecret }}
  - secretRef: {name: {{ . }}}
  {{- end }}
  {{- with $from }}
  {{- . | nindent 2 }}
  {{- end }}
{{- end }}
ports:
  - {name: metrics, containerPort: 8080}
  - {name: serve, containerPort: 8000}
  - {name: proxy, containerPort: 9101}
  {{- if eq .component "head" }}
  - {name: gcs-server, containerPort: 6379}
  - {name: dashboard, containerPort: 8265}
  {{- end }}
resources:
  {{- include "moa.resources" . | nindent 2 }}
{{ include "moa.probes" . }}
{{- if ne .component "head" }}
lifecycle:
  preStop:
    exec:
      command:
        - python
        - -m
        - deployments.drain
        - --notice-s={{ .context.Values.shutdown.noticeSeconds }}
        - --drain-s={{ .context.Values.shutdown.drainSeconds }}
{{- end }}
securityContext:
  {{- include "moa.containerSecurity" . | nindent 2 }}
{{- $mounts := include "moa.volumeMounts" . }}
volumeMounts:
  {{- $mounts | nindent 2 }}
  {{- with include "moa.extraVolumeMounts" (merge (dict "set" $mounts) .) }}
  {{- . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* Annotations of a Ray pod. (context, component, model, capacity, path, pod) */}}
{{- define "moa.podAnnotations" -}}
{{- $values := .context.Values -}}
{{- if include "moa.writesProfile" .context }}
moa/profile-checksum: {{ include "moa.profileChecksum" .context }}
{{- end }}
{{- if $values.karpenter.enabled }}
{{- /* Never on spot: Karpenter would not evict the pod at a spot notice, and its preStop hook would not run. */}}
{{- if eq .component "head" }}
karpenter.sh/do-not-disrupt: "true"
{{- else if and .model (eq .capacity "on-demand") }}
karpenter.sh/do-not-disrupt: {{ $values.startup.doNotDisrupt | quote }}
{{- end }}
{{- end }}
{{- with include "moa.extraMetadata" (merge (dict "field" "podAnnotations" "set" list) .) }}
{{ . }}
{{- end }}
{{- end -}}

{{/* A worker group's pod. (context, component, path, pod, image, group, model, modelId, gpus, resources, capacity, startSeconds, shm) */}}
{{- define "moa.workerPod" -}}
{{- $values := .context.Values -}}
metadata:
  labels:
    {{- include "moa.podLabels" . | nindent 4 }}
  {{- with include "moa.podAnnotations" . | trim }}
  annotations:
    {{- . | nindent 4 }}
  {{- end }}
spec:
  automountServiceAccountToken: false
  {{- with include "moa.workerAccount" .context }}
  serviceAccountName: {{ . }}
  {{- end }}
  {{- with include "moa.priorityClass" .context }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with $values.image.pullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . }}
    {{- end }}
  {{- end }}
  enableServiceLinks: false
  {{- if .model }}
  {{- with $values.scheduling.gpuRuntimeClass }}
  runtimeClassName: {{ . }}
  {{- end }}
  {{- end }}
  terminationGracePeriodSeconds: {{ $values.shutdown.graceSeconds }}
  securityContext:
    {{- include "moa.podSecurity" . | nindent 4 }}
  {{- with include "moa.placement" . | trim }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- if and .model (eq $values.weights.source "nvme") }}
  initContainers:
    {{- include "moa.copyWeights" (dict "context" .context "name" "weights" "id" .modelId "cpu" 4 "memoryGiB" 4) | nindent 4 }}
    {{- range $number, $id := keys (.model.adapters | default dict) | sortAlpha }}
    {{- include "moa.copyWeights" (dict "context" $.context "name" (printf "adapter-%d" $number) "id" $id "cpu" 1 "memoryGiB" 1) | nindent 4 }}
    {{- end }}
  {{- end }}
  containers:
    - {{ include "moa.container" . | nindent 6 | trim }}
  volumes:
    {{- include "moa.allVolumes" . | nindent 4 }}
{{- end -}}
