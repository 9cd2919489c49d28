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
