{{/* Names as in every chart: the release, and the chart unless the release is named so already. */}}
{{- define "genfleet.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{/* At most 40 characters: with what is put behind it a StatefulSet's pods must still be named. */}}
{{- define "genfleet.fullname" -}}
{{- $name := include "genfleet.name" . }}
{{- $whole := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) }}
{{- default $whole .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{/* Of what is in no namespace, or in another's: two releases with one name must not meet there. */}}
{{- define "genfleet.foreignName" -}}
{{ printf "%s-%s" .Release.Namespace (include "genfleet.fullname" .) }}
{{- end }}

{{- define "genfleet.chart" -}}
{{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* By which a component's pods are found; never changes, or upgrades would fail. Takes root and component. */}}
{{- define "genfleet.selector" -}}
app.kubernetes.io/name: {{ include "genfleet.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* Of everything that is made. Takes root and component. */}}
{{- define "genfleet.labels" -}}
{{ include "genfleet.selector" . }}
app.kubernetes.io/part-of: genfleet
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ include "genfleet.chart" .root }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Of pods: nothing that changes with the chart's version, or every upgrade would restart Redis. Takes root and component. */}}
{{- define "genfleet.podLabels" -}}
{{ include "genfleet.selector" . }}
app.kubernetes.io/part-of: genfleet
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* By which workers are found. The operator labels them. */}}
{{- define "genfleet.workerSelector" -}}
app.kubernetes.io/name: genfleet-worker
app.kubernetes.io/managed-by: genfleet-operator
{{- end }}

{{/* Takes root and image. */}}
{{- define "genfleet.image" -}}
{{- if .image.digest }}{{ .image.repository }}@{{ .image.digest }}
{{- else }}{{ .image.repository }}:{{ default .root.Chart.AppVersion .image.tag }}
{{- end }}
{{- end }}

{{/* What "restricted" of the Pod Security Standards asks for. */}}
{{- define "genfleet.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
# Without this every start would walk through all files of a large volume.
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "genfleet.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* Where Redis is and how it is spoken to. Its address stands in a Secret, the only way in which it reaches a program. Takes root and program. */}}
{{- define "genfleet.redisVariables" -}}
{{- $redis := .root.Values.redis }}
- name: CELERY_BROKER_URL
  valueFrom:
    secretKeyRef:
      {{- if $redis.bundled.enabled }}
      name: {{ include "genfleet.fullname" .root }}-redis
      key: url
      {{- else }}
      name: {{ $redis.existingSecret }}
      key: {{ default $redis.existingSecretKey (index $redis.programKeys .program) }}
      {{- end }}
{{- with $redis.tls.existingSecret }}
- name: GENFLEET_REDIS_CA
  value: /etc/genfleet-redis/ca.crt
{{- if $redis.tls.clientCertificate }}
- name: GENFLEET_REDIS_CERT
  value: /etc/genfleet-redis/tls.crt
- name: GENFLEET_REDIS_KEY
  value: /etc/genfleet-redis/tls.key
{{- end }}
{{- end }}
{{- with $redis.sentinel.master }}
- name: GENFLEET_REDIS_MASTER
  value: {{ . | quote }}
- name: GENFLEET_REDIS_TLS
  value: {{ $redis.sentinel.tls | quote }}
{{- with $redis.sentinel.passwordKey }}
- name: GENFLEET_REDIS_SENTINEL_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ $redis.existingSecret }}
      key: {{ . }}
{{- end }}
{{- end }}
{{- end }}

{{- define "genfleet.redisMount" -}}
{{- if .Values.redis.tls.existingSecret }}
- name: redis-tls
  mountPath: /etc/genfleet-redis
  readOnly: true
{{- end }}
{{- end }}

{{- define "genfleet.redisVolume" -}}
{{- with .Values.redis.tls.existingSecret }}
- name: redis-tls
  secret:
    secretName: {{ . }}
{{- end }}
{{- end }}

{{- define "genfleet.apiSecret" -}}
{{ default (printf "%s-api" (include "genfleet.fullname" .)) .Values.api.existingSecret }}
{{- end }}

{{- define "genfleet.apiSecretKey" -}}
{{ empty .Values.api.existingSecret | ternary "api-key" .Values.api.existingSecretKey }}
{{- end }}

{{- define "genfleet.mediaUrl" -}}
{{- if .Values.media.url }}{{ .Values.media.url }}
{{- else if .Values.api.ingress.enabled -}}
{{ empty .Values.api.ingress.tlsSecret | ternary "http" "https" }}://{{ .Values.api.ingress.host }}{{ .Values.api.ingress.path | trimSuffix "/" }}/media
{{- else -}}
http://{{ include "genfleet.fullname" . }}-api.{{ .Release.Namespace }}.svc:{{ .Values.api.service.port }}/media
{{- end }}
{{- end }}

{{/* The folder that workers write and the API serves. */}}
{{- define "genfleet.mediaVolume" -}}
name: media
{{- if .Values.media.volume }}
{{ toYaml .Values.media.volume }}
{{- else }}
persistentVolumeClaim:
  claimName: {{ default (printf "%s-media" (include "genfleet.fullname" .)) .Values.media.persistence.existingClaim }}
{{- end }}
{{- end }}

{{/* Of a claim: nothing for the cluster's default, "-" for none at all. */}}
{{- define "genfleet.storageClass" -}}
{{- if eq . "-" }}
storageClassName: ""
{{- else if . }}
storageClassName: {{ . | quote }}
{{- end }}
{{- end }}

{{- define "genfleet.serviceAccount" -}}
{{- $own := printf "%s-operator" (include "genfleet.fullname" .) }}
{{- default (.Values.operator.serviceAccount.create | ternary $own "default") .Values.operator.serviceAccount.name }}
{{- end }}

{{/* The namespaces whose queues the operator serves, as JSON; none in cluster mode. */}}
{{- define "genfleet.namespaces" -}}
{{- if .Values.operator.clusterWide }}[]
{{- else }}{{ default (list .Release.Namespace) .Values.operator.namespaces | toJson }}
{{- end }}
{{- end }}

{{/* What one value cannot know of another. values.schema.json refuses all else. */}}
{{- define "genfleet.check" -}}
{{- if and .Values.redis.bundled.enabled .Values.redis.existingSecret }}
{{- fail "redis.existingSecret names a Redis of your own: set redis.bundled.enabled to false as well, or remove it" }}
{{- end }}
{{- if not (or .Values.redis.bundled.enabled .Values.redis.existingSecret) }}
{{- fail "redis.bundled.enabled is false: name a Secret with the address of your Redis in redis.existingSecret" }}
{{- end }}
{{- if and .Values.redis.bundled.enabled (or .Values.redis.tls.existingSecret .Values.redis.sentinel.master) }}
{{- fail "redis.tls and redis.sentinel are for a Redis of your own: set redis.bundled.enabled to false, and redis.existingSecret" }}
{{- end }}
{{- if and .Values.redis.tls.clientCertificate (not .Values.redis.tls.existingSecret) }}
{{- fail "redis.tls.clientCertificate stands in a Secret: name it in redis.tls.existingSecret" }}
{{- end }}
{{- if not (or .Values.media.volume .Values.media.persistence.enabled) }}
{{- fail "API and workers need a folder in common: leave media.persistence.enabled on, or name a volume in media.volume" }}
{{- end }}
{{- with .Values.workers.llm }}
{{- if or (and .url (not .name)) (and .name (not .url)) (and .existingSecret (not .url)) }}
{{- fail "workers.llm needs both url and name; a key alone is of no use" }}
{{- end }}
{{- end }}
{{- if and .Values.operator.clusterWide .Values.operator.namespaces }}
{{- fail "operator.clusterWide serves all namespaces: remove operator.namespaces, or set operator.clusterWide to false" }}
{{- end }}
{{- include "genfleet.checkVolume" . }}
{{- if and .Values.api.ingress.enabled (not .Values.api.ingress.host) }}
{{- fail "api.ingress.enabled needs the name under which clients reach the API in api.ingress.host" }}
{{- end }}
{{- if and .Values.queues (not (has .Release.Namespace (include "genfleet.namespaces" . | fromJsonArray))) (not .Values.operator.clusterWide) }}
{{- fail (printf "queues are made in the release's namespace, which operator.namespaces leaves out: add %s to it" .Release.Namespace) }}
{{- end }}
{{- end }}

{{/* Kubernetes changes no volume of a StatefulSet: the upgrade would fail after it has changed half of the release. */}}
{{- define "genfleet.checkVolume" -}}
{{- $name := printf "%s-redis" (include "genfleet.fullname" .) }}
{{- $there := lookup "apps/v1" "StatefulSet" .Release.Namespace $name }}
{{- if and $there .Values.redis.bundled.enabled }}
{{- $wanted := .Values.redis.bundled.persistence }}
{{- $size := ternary $wanted.size "" (and $wanted.enabled (not $wanted.existingClaim)) }}
{{- $now := "" }}
{{- range dig "spec" "volumeClaimTemplates" (list) $there }}
{{- $now = .spec.resources.requests.storage }}
{{- end }}
{{- if ne $size $now }}
{{- fail (printf "redis.bundled.persistence cannot be changed by an upgrade (size of the volume: now %q, wanted %q): leave it as it is; or, if the tasks that are there may be lost, `kubectl -n %s delete statefulset %s` first" $now $size .Release.Namespace $name) }}
{{- end }}
{{- end }}
{{- end }}
