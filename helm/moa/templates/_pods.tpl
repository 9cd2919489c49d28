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

{{/* Read by Ray Serve and vLLM when they start; the same on every node. */}}
{{- define "moa.environment" -}}
{{- $values := .context.Values -}}
- {name: RAY_SERVE_ENABLE_HA_PROXY, value: "1"}
- {name: RAY_SERVE_THROUGHPUT_OPTIMIZED, value: "1"}
- {name: RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S, value: {{ $values.shutdown.noticeSeconds | quote }}}
{{- /* Serve ends an idle proxy of a draining node after this time, 30 s by default; load balancers may still use it. */}}
- {name: RAY_SERVE_PROXY_MIN_DRAINING_PERIOD_S, value: {{ add $values.shutdown.noticeSeconds $values.shutdown.drainSeconds | quote }}}
{{- /* A replaced proxy keeps its streams as long as a request can take. */}}
- {name: RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S, value: {{ $values.api.deadlineSeconds | quote }}}
{{- /* Idle connections to it would keep it as long, and the drain of its node. */}}
- {name: RAY_SERVE_HAPROXY_CLOSE_SPREAD_TIME_S, value: {{ $values.shutdown.noticeSeconds | quote }}}
- {name: MOA_HAPROXY_CONNECTIONS_PER_CLIENT, value: {{ $values.proxy.connectionsPerClient | quote }}}
- {name: MOA_HAPROXY_HEADER_TIMEOUT_S, value: {{ $values.proxy.headerTimeoutSeconds | quote }}}
- {name: MOA_HAPROXY_RETRY_BYTES, value: {{ int64 $values.proxy.retryBytes | quote }}}
{{- /* Read by the raylet before the server starts: engines must not run at low priority. */}}
- {name: RAY_worker_niceness, value: "0"}
- {name: RAYLLM_ENABLE_WORKER_PROCESS_SETUP_HOOK, value: "0"}
- {name: RAY_USAGE_STATS_ENABLED, value: "0"}
- {name: VLLM_NO_USAGE_STATS, value: "1"}
- {name: DO_NOT_TRACK, value: "1"}
- {name: HOME, value: /scratch/home}
- {name: XDG_CACHE_HOME, value: /scratch/cache}
- {name: HF_HOME, value: /scratch/hugging-face}
- {name: VLLM_CACHE_ROOT, value: /compile-cache/vllm}
- {name: TRITON_CACHE_DIR, value: /compile-cache/triton}
- {name: TORCHINDUCTOR_CACHE_DIR, value: /compile-cache/inductor}
{{- /* FlashInfer adds .cache/flashinfer; CUDA's own cache of compiled PTX is else below HOME. */}}
- {name: FLASHINFER_WORKSPACE_BASE, value: /compile-cache/flashinfer}
- {name: CUDA_CACHE_PATH, value: /compile-cache/cuda}
- {name: TORCH_EXTENSIONS_DIR, value: /compile-cache/extensions}
- {name: CUTE_DSL_CACHE_DIR, value: /compile-cache/cute-dsl}
- {name: TILELANG_CACHE_DIR, value: /compile-cache/tilelang}
{{- if has $values.weights.source (list "image" "pvc" "nvme") }}
- {name: HF_HUB_OFFLINE, value: "1"}
{{- end }}
{{- if eq $values.weights.source "s3" }}
- {name: RUNAI_STREAMER_CONCURRENCY, value: {{ $values.weights.s3.concurrency | quote }}}
{{- /* Of each GPU's worker; without it some versions read the whole checkpoint into memory, once for each GPU. */}}
- {name: RUNAI_STREAMER_MEMORY_LIMIT, value: {{ mul (int64 $values.weights.s3.bufferGiB) 1073741824 | quote }}}
{{- end }}
{{- with include "moa.otlpEnvironment" .context }}
{{ . }}
{{- end }}
- name: MOA_API_KEY
  valueFrom:
    secretKeyRef: {name: {{ include "moa.apiKeySecret" .context }}, key: api-key}
{{- with include "moa.hfSecret" .context }}
- name: HF_TOKEN
  valueFrom:
    secretKeyRef: {name: {{ . }}, key: token}
{{- end }}
{{- end -}}

{{- define "moa.volumeMounts" -}}
- {name: tmp, mountPath: /tmp}
- {name: scratch, mountPath: /scratch}
- {name: shm, mountPath: /dev/shm}
- {name: compile-cache, mountPath: /compile-cache}
{{- if include "moa.writesProfile" .context }}
- {name: profile, mountPath: /etc/moa, readOnly: true}
{{- end }}
{{- if and .model (has .context.Values.weights.source (list "pvc" "nvme")) }}
- {name: weights, mountPath: /models, readOnly: true}
{{- end }}
{{- end -}}

{{- define "moa.volumes" -}}
{{- $values := .context.Values -}}
- name: tmp
  emptyDir: {}
- name: scratch
  emptyDir: {}
- name: shm
  emptyDir: {medium: Memory, sizeLimit: {{ .shm }}}
- name: compile-cache
{{- if and .model (eq $values.compileCache.kind "pvc") }}
  persistentVolumeClaim: {claimName: {{ include "moa.cacheClaim" .context }}}
{{- else }}
  emptyDir: {}
{{- end }}
{{- if include "moa.writesProfile" .context }}
- name: profile
  configMap: {name: {{ include "moa.fullname" .context }}-profile}
{{- end }}
{{- if and .model (eq $values.weights.source "pvc") }}
- name: weights
  persistentVolumeClaim: {claimName: {{ $values.weights.pvc.claimName }}, readOnly: true}
{{- else if and .model (eq $values.weights.source "nvme") }}
- name: weights
  emptyDir: {sizeLimit: {{ include "moa.weightsLimit" . }}}
{{- end }}
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

{{/* Volumes of a Ray pod, with those of the values. */}}
{{- define "moa.allVolumes" -}}
{{- $volumes := include "moa.volumes" . -}}
{{ $volumes }}
{{- with include "moa.extraVolumes" (merge (dict "set" $volumes) .) }}
{{ . }}
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
    - name: weights
      image: {{ $values.weights.nvme.image }}
      command: [aws, s3, sync, --no-progress, {{ printf "%s/%s" (trimSuffix "/" $values.weights.s3.uri) .modelId | quote }}, {{ printf "/models/%s" .modelId | quote }}]
      env:
        - {name: HOME, value: /tmp}
      resources:
        requests: {cpu: "4", memory: 4Gi}
        limits: {cpu: "8", memory: 8Gi}
      securityContext:
        {{- include "moa.containerSecurity" . | nindent 8 }}
      volumeMounts:
        - {name: weights, mountPath: /models}
        - {name: tmp, mountPath: /tmp}
    {{- range $number, $id := keys (.model.adapters | default dict) | sortAlpha }}
    - name: adapter-{{ $number }}
      image: {{ $values.weights.nvme.image }}
      command: [aws, s3, sync, --no-progress, {{ printf "%s/%s" (trimSuffix "/" $values.weights.s3.uri) $id | quote }}, {{ printf "/models/%s" $id | quote }}]
      env:
        - {name: HOME, value: /tmp}
      resources:
        requests: {cpu: "1", memory: 1Gi}
        limits: {cpu: "2", memory: 2Gi}
      securityContext:
        {{- include "moa.containerSecurity" $ | nindent 8 }}
      volumeMounts:
        - {name: weights, mountPath: /models}
        - {name: tmp, mountPath: /tmp}
    {{- end }}
  {{- end }}
  containers:
    - {{ include "moa.container" . | nindent 6 | trim }}
  volumes:
    {{- include "moa.allVolumes" . | nindent 4 }}
{{- end -}}

{{/* Node selection of a pod. */}}
{{- define "moa.placement" -}}
{{- $values := .context.Values -}}
{{- $selector := deepCopy $values.scheduling.nodeSelector -}}
{{- if $values.karpenter.enabled -}}
{{- $_ := set $selector "moa/release" (include "moa.clusterwideName" .context) -}}
{{- if not .model }}{{ $_ := set $selector "moa/pool" "cpu" }}{{ end -}}
{{- if eq .capacity "on-demand" }}{{ $_ := set $selector "karpenter.sh/capacity-type" "on-demand" }}{{ end -}}
{{- if and (eq .capacity "spot") (not $values.karpenter.gpu.fallback) }}{{ $_ := set $selector "karpenter.sh/capacity-type" "spot" }}{{ end -}}
{{- else if .model -}}
{{- $selector = merge $selector $values.scheduling.gpuNodeSelector -}}
{{- if eq .capacity "on-demand" }}{{ $selector = merge $selector $values.scheduling.floorNodeSelector }}{{ end -}}
{{- end -}}
{{- with $selector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if or .model $values.scheduling.tolerations }}
tolerations:
  {{- if .model }}
  - {key: nvidia.com/gpu, operator: Exists, effect: NoSchedule}
  {{- end }}
  {{- with $values.scheduling.tolerations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- if and .model $values.karpenter.enabled }}
affinity:
  nodeAffinity:
    requiredDuringSchedulingIgnoredDuringExecution:
      nodeSelectorTerms:
        - matchExpressions:
            - {key: moa/pool, operator: In, values: [gpu]}
            - {key: karpenter.k8s.aws/instance-gpu-count, operator: Gt, values: ["{{ sub (int .gpus) 1 }}"]}
            - {key: karpenter.k8s.aws/instance-gpu-memory, operator: Gt, values: ["{{ sub (mul (include "moa.gpuMemoryGiB" . | int64) 1024) 1 }}"]}
    {{- if eq .capacity "spot" }}
    # Karpenter takes the heaviest preference that can be met. A node with many more GPUs than the pod needs comes last: in some
    # zones its spot price is above that of one of the right size on demand (deployments/plan/prices.yaml).
    {{- $close := dict "key" "karpenter.k8s.aws/instance-gpu-count" "operator" "Lt" "values" (list (printf "%d" (add (mul 2 (int .gpus)) 1))) }}
    preferredDuringSchedulingIgnoredDuringExecution:
      {{- if $values.karpenter.gpu.fallback }}
      - weight: 100
        preference:
          matchExpressions:
            - {key: karpenter.sh/capacity-type, operator: In, values: [spot]}
            - {{ toJson $close }}
      - weight: 50
        preference:
          matchExpressions:
            - {key: karpenter.sh/capacity-type, operator: In, values: [on-demand]}
            - {{ toJson $close }}
      - weight: 10
        preference:
          matchExpressions:
            - {key: karpenter.sh/capacity-type, operator: In, values: [spot]}
      {{- else }}
      - weight: 100
        preference:
          matchExpressions:
            - {{ toJson $close }}
      {{- end }}
    {{- end }}
{{- end }}
{{- /* Models go where their GPUs cost least. The label is KubeRay's: pods of an upgrade's other cluster do not count. */}}
{{- if eq .component "orchestrator" }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: {{ $values.scheduling.topologyKey }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        app.kubernetes.io/instance: {{ .context.Release.Name }}
        moa/group: {{ .group }}
    matchLabelKeys: [ray.io/cluster]
{{- end }}
{{- end -}}
