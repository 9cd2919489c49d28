{{/*
Peers of an egress rule to `networkPolicy.httpsCidrs`. `0.0.0.0/0` and `::/0` leave out the API server, which every pod would reach
otherwise.
*/}}
{{- define "moa.httpsBlocks" -}}
{{- $policy := .Values.networkPolicy -}}
{{- range $policy.httpsCidrs }}
- ipBlock:
    cidr: {{ . }}
    {{- if hasSuffix "/0" . }}
    {{- $except := list }}
    {{- $v6 := contains ":" . }}
    {{- range $policy.apiServerCidrs }}
    {{- if eq $v6 (contains ":" .) }}{{ $except = append $except . }}{{ end }}
    {{- end }}
    except: {{ toJson $except }}
    {{- end }}
{{- end }}
{{- end -}}
