{{/*
Objectives for the first token as YAML: label selectors of Prometheus -> seconds. Each recipe is in one selector; the last
one is for all others, and for models that are asked directly.
*/}}
{{- define "moa.ttftObjectives" -}}
{{- $rules := .Values.monitoring.rules -}}
{{- $named := list -}}
{{- $of := dict -}}
{{- range $name, $seconds := $rules.recipeTtftSeconds -}}
{{- if not (kindIs "invalid" $seconds) -}}
{{- $key := toString $seconds -}}
{{- $named = append $named (regexQuoteMeta $name) -}}
{{- $_ := set $of $key (append (default list (get $of $key)) (regexQuoteMeta $name)) -}}
{{- end -}}
{{- end -}}
{{- $selectors := dict -}}
{{- range $seconds, $names := $of -}}
{{- $_ := set $selectors (printf "model=~%q" ($names | sortAlpha | join "|")) $seconds -}}
{{- end -}}
{{- $_ := set $selectors (printf "model!~%q" ($named | sortAlpha | join "|")) (toString $rules.ttftSeconds) -}}
{{- toYaml $selectors -}}
{{- end -}}

{{/* Ray clusters of the service; KubeRay adds five characters to its name. */}}
{{- define "moa.rayClusters" -}}
{{ printf "kuberay_cluster_info{namespace=%q, name=~\"%s-[a-z0-9]{5}\"}" .Release.Namespace (include "moa.fullname" .) }}
{{- end -}}

{{/* Part of an alert that keeps it silent while the service is suspended or starts; empty without KubeRay's metrics. */}}
{{- define "moa.unlessSettling" -}}
{{- if .Values.monitoring.exporters.kubeRay -}}
unless on () moa:service:settling{namespace={{ .Release.Namespace | quote }}, name={{ include "moa.fullname" . | quote }}}
{{- end -}}
{{- end -}}
