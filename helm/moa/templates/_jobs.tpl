{{/*
Pod of a job that calls the Kubernetes API with files/jobs.py. It runs on any node: before the chart's nodes exist, and while
they are gone. (context, account, arguments, metadata)
*/}}
{{- define "moa.jobPod" -}}
{{- $values := .context.Values -}}
metadata:
  labels:
    {{- include "moa.selectorLabels" .context | nindent 4 }}
    app.kubernetes.io/component: job
    {{- with $values.costLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    # Runs once; its exit code is the result.
    checkov.io/skip1: CKV_K8S_8=no liveness probe
    checkov.io/skip2: CKV_K8S_9=no readiness probe
spec:
  serviceAccountName: {{ .account }}
  automountServiceAccountToken: true
  enableServiceLinks: false
  restartPolicy: Never
  {{- with $values.image.pullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . }}
    {{- end }}
  {{- end }}
  securityContext:
    {{- include "moa.podSecurity" .context | nindent 4 }}
  {{- with $values.scheduling.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.scheduling.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: job
      image: {{ $values.jobs.image }}
      imagePullPolicy: IfNotPresent
      command:
        - python
        - -c
        - |
          {{- regexReplaceAll "\n\n+" (.context.Files.Get "files/jobs.py") "\n" | trim | nindent 10 }}
      args: {{ toJson .arguments }}
      {{- with .metadata }}
      env:
        - {name: METADATA, value: {{ toJson . | quote }}}
      {{- end }}
      resources:
        requests: {cpu: 50m, memory: 64Mi}
        limits: {cpu: 500m, memory: 128Mi}
      securityContext:
        {{- include "moa.containerSecurity" .context | nindent 8 }}
{{- end -}}

{{/* Refuses jobs without an account. (context, reason) */}}
{{- define "moa.validateJobs" -}}
{{- if not .context.Values.serviceAccount.create -}}
{{- fail (printf "serviceAccount.create is false, but %s needs a job with an account of its own: set it to true." .reason) -}}
{{- end -}}
{{- end -}}
