{{- define "tidegate.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{/* At most 50 characters: with `sharded`, Leases are called so with a number behind it. */}}
{{- define "tidegate.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "tidegate.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "tidegate.selectorLabels" -}}
app.kubernetes.io/name: {{ include "tidegate.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "tidegate.labels" -}}
{{ include "tidegate.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The gateways' control plane is an application of its own: nothing that selects the controller's pods selects its. */}}
{{- define "tidegate.gatewaySelectorLabels" -}}
app.kubernetes.io/name: {{ include "tidegate.name" . }}-gateway
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "tidegate.gatewayLabels" -}}
{{- $own := include "tidegate.gatewaySelectorLabels" . | fromYaml -}}
{{- toYaml (merge $own (include "tidegate.labels" . | fromYaml)) -}}
{{- end -}}

{{- define "tidegate.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "tidegate.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name: name the account, since serviceAccount.create is false" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* The account as RBAC and others name it. */}}
{{- define "tidegate.subject" -}}
kind: ServiceAccount
name: {{ include "tidegate.serviceAccountName" . }}
namespace: {{ .Release.Namespace }}
{{- end -}}

{{/* What the account may do where it serves: the program's own table, from files/permissions.yaml. */}}
{{- define "tidegate.rules" -}}
{{- $table := .Files.Get "files/permissions.yaml" | fromYaml -}}
{{- $rules := $table.base -}}
{{- if .Values.previews }}{{ $rules = concat $rules $table.previews }}{{ end -}}
{{- if .Values.scaling }}{{ $rules = concat $rules $table.scaling }}{{ end -}}
{{- toYaml $rules -}}
{{- end -}}

{{/* The configuration file: what the user wrote, and what the chart knows. */}}
{{- define "tidegate.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- $ours := dict "listen" (printf "0.0.0.0:%d" (int .Values.port)) "previews" .Values.previews "scaling" .Values.scaling -}}
{{- with .Values.namespaces }}{{ $_ := set $ours "namespaces" (uniq . | sortAlpha) }}{{ end -}}
{{- if ne .Values.mode "single" }}{{ $_ := set $ours "leaderElection" (dict "lease" (include "tidegate.fullname" .)) }}{{ end -}}
{{- toYaml (merge $ours $config) -}}
{{- end -}}

{{/* A CRD of files/crds, with the release's labels. */}}
{{- define "tidegate.crd" -}}
{{- $root := .root -}}
{{- $crd := $root.Files.Get (printf "files/crds/%s" .file) | fromYaml -}}
{{- $labels := include "tidegate.labels" $root | fromYaml -}}
{{- $_ := set $crd.metadata "labels" (merge $labels (default (dict) $crd.metadata.labels)) -}}
{{- if $root.Values.crds.keep -}}
{{- $annotations := dict "helm.sh/resource-policy" "keep" -}}
{{- $_ := set $crd.metadata "annotations" (merge $annotations (default (dict) $crd.metadata.annotations)) -}}
{{- end -}}
{{- toYaml $crd -}}
{{- end -}}

{{- define "tidegate.image" -}}
{{- $tag := default .Chart.AppVersion .Values.image.tag -}}
{{- if .Values.image.digest -}}
{{- printf "%s:%s@%s" .Values.image.repository $tag .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository $tag -}}
{{- end -}}
{{- end -}}
