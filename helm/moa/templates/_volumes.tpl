{{/* Volumes of a Ray pod and their mounts. Each takes the dict of the pod, as `moa.workerPod`. */}}

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

{{/* Volumes of a Ray pod, with those of the values. */}}
{{- define "moa.allVolumes" -}}
{{- $volumes := include "moa.volumes" . -}}
{{ $volumes }}
{{- with include "moa.extraVolumes" (merge (dict "set" $volumes) .) }}
{{ . }}
{{- end }}
{{- end -}}
