{{/*
The pod template that the operator lays under every pool: what workers need to know of this installation. The operator
brings the rest: image, command, probes, security, the queue's own variables.
*/}}
{{- define "genfleet.worker.own" -}}
metadata:
  labels:
    app.kubernetes.io/part-of: genfleet
    {{- with .Values.commonLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    {{- with .Values.workers.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with .Values.workers.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  automountServiceAccountToken: false
  enableServiceLinks: false
  securityContext:
    {{- include "genfleet.podSecurity" . | nindent 4 }}
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: worker
      imagePullPolicy: {{ .Values.workers.image.pullPolicy }}
      env:
        {{- include "genfleet.redisVariables" (dict "root" . "program" "worker") | nindent 8 }}
        - name: GENFLEET_MEDIA_URL
          value: {{ include "genfleet.mediaUrl" . }}
        - name: GENFLEET_LOG_LEVEL
          value: {{ .Values.logLevel }}
        {{- with .Values.workers.llm }}
        {{- if .url }}
        - name: GENFLEET_LLM_URL
          value: {{ .url | quote }}
        - name: GENFLEET_LLM_NAME
          value: {{ .name | quote }}
        {{- if .existingSecret }}
        - name: GENFLEET_LLM_KEY
          valueFrom:
            secretKeyRef:
              name: {{ .existingSecret }}
              key: {{ .existingSecretKey }}
        {{- end }}
        {{- end }}
        {{- end }}
        {{- with .Values.workers.env }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- with .Values.workers.resources }}
      resources:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      securityContext:
        {{- include "genfleet.containerSecurity" . | nindent 8 }}
      volumeMounts:
        - name: media
          mountPath: /media
        {{- include "genfleet.redisMount" . | nindent 8 }}
  volumes:
    - {{- include "genfleet.mediaVolume" . | nindent 6 }}
    {{- include "genfleet.redisVolume" . | nindent 4 }}
{{- end }}

{{/* Ours, and `workers.podTemplate`: the operator lays each document over the one before, strategically. */}}
{{- define "genfleet.worker.template" -}}
{{- include "genfleet.worker.own" . }}
---
{{ toYaml .Values.workers.podTemplate }}
{{- end }}
