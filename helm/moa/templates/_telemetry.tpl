{{/*
Environment of Ray Serve's traces; empty without an endpoint. OTEL_* are OpenTelemetry's own variables, those of traces only:
the ones without TRACES in their names also change how Ray sends its metrics between its own processes.
*/}}
{{- define "moa.otlpEnvironment" -}}
{{- $otlp := .Values.telemetry.otlp -}}
{{- if $otlp.endpoint -}}
{{- $url := trimSuffix "/" $otlp.endpoint -}}
{{- /* OTLP over HTTP has a path for traces, which only the variable of all signals adds by itself. */ -}}
{{- if and (eq $otlp.protocol "http/protobuf") (not (hasSuffix "/v1/traces" $url)) }}{{ $url = printf "%s/v1/traces" $url }}{{ end -}}
{{- $attributes := list (printf "service.namespace=%s" .Release.Namespace) -}}
{{- range $name, $value := $otlp.resourceAttributes }}{{ $attributes = append $attributes (printf "%s=%s" $name $value) }}{{ end -}}
- {name: RAY_SERVE_TRACING_EXPORTER_IMPORT_PATH, value: "deployments.cluster.tracing:span_processors"}
- {name: RAY_SERVE_TRACING_SAMPLING_RATIO, value: {{ toString $otlp.samplingRatio | quote }}}
- {name: OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, value: {{ $url | quote }}}
- {name: OTEL_EXPORTER_OTLP_TRACES_PROTOCOL, value: {{ $otlp.protocol | quote }}}
- {name: OTEL_SERVICE_NAME, value: {{ include "moa.fullname" . }}}
{{- if $otlp.captureTexts }}
- {name: OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT, value: "true"}
{{- end }}
- {name: OTEL_RESOURCE_ATTRIBUTES, value: {{ join "," $attributes | quote }}}
{{- with $otlp.headersSecret }}
- name: OTEL_EXPORTER_OTLP_TRACES_HEADERS
  valueFrom:
    secretKeyRef: {name: {{ . }}, key: headers}
{{- end }}
{{- end -}}
{{- end -}}

{{/*
Egress rule of a NetworkPolicy to the collector: to its namespace if the host is a service's (NAME.NAMESPACE.svc), else to
`networkPolicy.httpsCidrs`, without the API server at its own ports. Empty without an endpoint.
*/}}
{{- define "moa.otlpEgress" -}}
{{- with .Values.telemetry.otlp.endpoint -}}
{{- $url := urlParse . -}}
{{- $host := regexReplaceAll ":[0-9]+$" $url.host "" -}}
{{- $port := regexFind "[0-9]+$" (regexFind ":[0-9]+$" $url.host) | default (ternary "443" "80" (eq $url.scheme "https")) -}}
{{- $parts := splitList "." $host -}}
- to:
    {{- if and (ge (len $parts) 3) (eq (index $parts 2) "svc") }}
    - namespaceSelector:
        matchLabels:
          kubernetes.io/metadata.name: {{ index $parts 1 }}
    {{- else if has $port (list "443" "6443") }}
    {{- include "moa.httpsBlocks" $ | trim | nindent 4 }}
    {{- else }}
    {{- range $.Values.networkPolicy.httpsCidrs }}
    - ipBlock: {cidr: {{ . }}}
    {{- end }}
    {{- end }}
  ports:
    - {port: {{ $port }}, protocol: TCP}
{{- end -}}
{{- end -}}
