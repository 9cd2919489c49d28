{{/* Checks of values about nodes and networks that the schema cannot express. */}}
{{- define "moa.validateNodes" -}}
{{- $karpenter := .Values.karpenter -}}
{{- if .Values.networkPolicy.enabled -}}
{{- range .Values.networkPolicy.apiServerCidrs -}}
{{- if hasSuffix "/0" . -}}
{{- fail (printf "networkPolicy.apiServerCidrs contains %s, which restricts nothing: name the addresses of the API server, or set networkPolicy.enabled to false." .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if $karpenter.enabled -}}
{{- range $name, $value := pick .Values.scheduling "gpuNodeSelector" "floorNodeSelector" -}}
{{- if $value -}}
{{- fail (printf "scheduling.%s is for clusters without Karpenter: set karpenter.enabled to false, or choose nodes by karpenter.gpu." $name) -}}
{{- end -}}
{{- end -}}
{{- if gt (mul 4 (int $karpenter.rootVolumeThroughput)) (int64 $karpenter.rootVolumeIops) -}}
{{- fail (printf "karpenter.rootVolumeThroughput is %v MiB/s, above a quarter of rootVolumeIops (%v): lower it, or raise rootVolumeIops." $karpenter.rootVolumeThroughput $karpenter.rootVolumeIops) -}}
{{- end -}}
{{- if and $karpenter.imageSnapshot.id (not (hasPrefix "bottlerocket" $karpenter.amiAlias)) -}}
{{- fail (printf "karpenter.imageSnapshot.id needs nodes of Bottlerocket, whose data disk the snapshot is, but karpenter.amiAlias is %s: set a bottlerocket alias, or no snapshot." $karpenter.amiAlias) -}}
{{- end -}}
{{- end -}}
{{- end -}}
