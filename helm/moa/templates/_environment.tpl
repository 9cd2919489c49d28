{{/* Environment of the Ray containers. (context) */}}

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
{{- range $variable, $service := dict "MOA_DATABASE_URL" $values.store.database "MOA_REDIS_URL" $values.store.redis }}
{{- with $service.existingSecret }}
- name: {{ $variable }}
  valueFrom:
    secretKeyRef: {name: {{ . }}, key: url}
{{- end }}
{{- end }}
{{- with $values.auth.adminKey.existingSecret }}
- name: MOA_ADMIN_KEY
  valueFrom:
    secretKeyRef: {name: {{ . }}, key: admin-key}
{{- end }}
{{- with include "moa.hfSecret" .context }}
- name: HF_TOKEN
  valueFrom:
    secretKeyRef: {name: {{ . }}, key: token}
{{- end }}
{{- end -}}
