{{/* The parts that the network policies share. */}}
{{- define "genfleet.policy" -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ .name }}
  {{- with .namespace }}
  namespace: {{ . }}
  {{- end }}
  labels:
    {{- include "genfleet.labels" . | nindent 4 }}
  {{- with .annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  # Both are named, so what no rule below allows is refused.
  policyTypes: [Ingress, Egress]
{{- end }}

{{- define "genfleet.egress.dns" -}}
- ports:
    {{- range .Values.networkPolicy.dnsPorts }}
    - {protocol: UDP, port: {{ . }}}
    - {protocol: TCP, port: {{ . }}}
    {{- end }}
{{- end }}

{{- define "genfleet.egress.redis" -}}
{{- $external := .Values.networkPolicy.externalRedis }}
{{- if .Values.redis.bundled.enabled }}
- ports: [{protocol: TCP, port: 6379}]
  to:
    # With its namespace: workers of other namespaces come here too.
    - namespaceSelector:
        matchLabels: {kubernetes.io/metadata.name: {{ .Release.Namespace }}}
      podSelector:
        matchLabels:
          {{- include "genfleet.selector" (dict "root" . "component" "redis") | nindent 10 }}
{{- else }}
- ports:
    - {protocol: TCP, port: {{ $external.port }}}
    {{- if .Values.redis.sentinel.master }}
    - {protocol: TCP, port: {{ .Values.networkPolicy.externalRedis.sentinelPort }}}
    {{- end }}
  {{- include "genfleet.egress.addresses" $external.cidrs | nindent 2 }}
{{- end }}
{{- end }}

{{- define "genfleet.egress.addresses" -}}
{{- with . }}
to:
  {{- range . }}
  - ipBlock: {cidr: {{ . | quote }}}
  {{- end }}
{{- end }}
{{- end }}

{{- define "genfleet.egress.apiServer" -}}
- ports:
    {{- range .Values.networkPolicy.apiServer.ports }}
    - {protocol: TCP, port: {{ . }}}
    {{- end }}
  {{- include "genfleet.egress.addresses" .Values.networkPolicy.apiServer.cidrs | nindent 2 }}
{{- end }}

{{- define "genfleet.egress.internet" -}}
- ports:
    - {protocol: TCP, port: 80}
    - {protocol: TCP, port: 443}
  to:
    - ipBlock:
        cidr: 0.0.0.0/0
        # All that is not public: the cluster itself, the node, and the cloud's metadata service; Azure's has a public address.
        except:
          - 0.0.0.0/8
          - 10.0.0.0/8
          - 100.64.0.0/10
          - 127.0.0.0/8
          - 168.63.129.16/32
          - 169.254.0.0/16
          - 172.16.0.0/12
          - 192.0.0.0/24
          - 192.168.0.0/16
          - 198.18.0.0/15
          - 224.0.0.0/4
          - 240.0.0.0/4
    - ipBlock:
        # What is public of IPv6, without what leads back into IPv4.
        cidr: 2000::/3
        except: ["2001:db8::/32", "2002::/16"]
{{- end }}
