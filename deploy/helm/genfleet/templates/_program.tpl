{{/*
One of our programs as a Deployment: image, security and settings that they share. Takes:
  root, name    the program is `genfleet-<name>`, its values stand under `name`
  port, alive, ready    where it answers, and the paths of its probes
  account       the service account whose token it gets; without one it gets no token
  parts         a map: env, mounts, volumes, annotations, lifecycle
*/}}
{{- define "genfleet.program" -}}
{{- $root := .root }}
{{- $values := index $root.Values .name }}
{{- $who := dict "root" $root "component" .name }}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "genfleet.fullname" $root }}-{{ .name }}
  labels:
    {{- include "genfleet.labels" $who | nindent 4 }}
spec:
  replicas: {{ $values.replicas }}
  selector:
    matchLabels:
      {{- include "genfleet.selector" $who | nindent 6 }}
  strategy:
    rollingUpdate: {maxSurge: 1, maxUnavailable: 0}
  template:
    metadata:
      labels:
        {{- include "genfleet.podLabels" $who | nindent 8 }}
        {{- with $values.podLabels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- $scrape := include "genfleet.scrape" (dict "root" $root "port" .port) | fromYaml }}
      {{- with merge (dict) $values.podAnnotations (.parts.annotations | default dict) $scrape }}
      annotations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
    spec:
      {{- with .account }}
      serviceAccountName: {{ . }}
      {{- end }}
      automountServiceAccountToken: {{ not (empty .account) }}
      # Variables for each Service of the namespace: one called "genfleet" would set our GENFLEET_PORT.
      enableServiceLinks: false
      securityContext:
        {{- include "genfleet.podSecurity" $root | nindent 8 }}
      {{- with $root.Values.imagePullSecrets }}
      imagePullSecrets:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $values.priorityClassName }}
      priorityClassName: {{ . }}
      {{- end }}
      {{- with $values.nodeSelector }}
      nodeSelector:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $values.tolerations }}
      tolerations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- if $values.affinity }}
      affinity:
        {{- toYaml $values.affinity | nindent 8 }}
      {{- else }}
      topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: ScheduleAnyway
          labelSelector:
            matchLabels:
              {{- include "genfleet.selector" $who | nindent 14 }}
      {{- end }}
      containers:
        - name: {{ .name }}
          image: {{ include "genfleet.image" (dict "root" $root "image" $root.Values.image) }}
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          command: [genfleet-{{ .name }}]
          env:
            {{- include "genfleet.redisVariables" (dict "root" $root "program" .name) | nindent 12 }}
            - name: GENFLEET_LOG_LEVEL
              value: {{ $root.Values.logLevel }}
            {{- with .parts.env }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
            {{- with $values.env }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
          ports:
            - name: http
              containerPort: {{ .port }}
          startupProbe:
            httpGet: {path: {{ .alive }}, port: http}
            periodSeconds: 2
            failureThreshold: 60
          livenessProbe:
            httpGet: {path: {{ .alive }}, port: http}
            periodSeconds: 10
            timeoutSeconds: 5
            failureThreshold: 3
          readinessProbe:
            httpGet: {path: {{ .ready }}, port: http}
            periodSeconds: 5
            timeoutSeconds: 3
          {{- with .parts.lifecycle }}
          lifecycle:
            {{- toYaml . | nindent 12 }}
          {{- end }}
          {{- with $values.resources }}
          resources:
            {{- toYaml . | nindent 12 }}
          {{- end }}
          securityContext:
            {{- include "genfleet.containerSecurity" $root | nindent 12 }}
          volumeMounts:
            - name: tmp
              mountPath: /tmp
            {{- include "genfleet.redisMount" $root | nindent 12 }}
            {{- with .parts.mounts }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
      volumes:
        - name: tmp
          emptyDir: {}
        {{- include "genfleet.redisVolume" $root | nindent 8 }}
        {{- with .parts.volumes }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
{{- end }}

{{/* By which a Prometheus that goes by annotations finds a pod. Takes root and port. */}}
{{- define "genfleet.scrape" -}}
{{- if .root.Values.monitoring.scrapeAnnotations.enabled }}
prometheus.io/scrape: "true"
prometheus.io/port: {{ .port | quote }}
prometheus.io/path: /metrics
{{- end }}
{{- end }}

{{/* How many pods of a program a drain of nodes may take away. With one pod it would only stop the drain. Takes root and name. */}}
{{- define "genfleet.disruption" -}}
{{- $values := index .root.Values .name }}
{{- if and $values.podDisruptionBudget.enabled (gt (int $values.replicas) 1) }}
{{- $who := dict "root" .root "component" .name }}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "genfleet.fullname" .root }}-{{ .name }}
  labels:
    {{- include "genfleet.labels" $who | nindent 4 }}
spec:
  maxUnavailable: {{ $values.podDisruptionBudget.maxUnavailable }}
  # A pod that is not ready serves nobody: it must not hold up a drain.
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "genfleet.selector" $who | nindent 6 }}
{{- end }}
{{- end }}
