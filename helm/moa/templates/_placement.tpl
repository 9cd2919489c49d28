{{/* Nodes of a pod: selector, tolerations, affinity, spread. (context, component, capacity, model, gpus, group) */}}
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
