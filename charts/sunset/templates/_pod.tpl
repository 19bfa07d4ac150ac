{{- /* The one pod of the chart: `root`, `component` (run, serve or test), `arguments`, and for a scheduler `serve: true`, for pods that share a Job
     `group: true`. */ -}}
{{- define "sunset.pod" -}}
{{- $root := .root -}}
{{- with .root.Values -}}
metadata:
  labels:
    {{- include "sunset.labels" $root | nindent 4 }}
    app.kubernetes.io/component: {{ $.component }}
    {{- with .podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- $digest := include "sunset.rulesDigest" $root }}
  {{- if or $digest .podAnnotations }}
  annotations:
    {{- with $digest }}
    checksum/rules: {{ . }}
    {{- end }}
    {{- with .podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- end }}
spec:
  restartPolicy: {{ ternary "Always" "Never" (default false $.serve) }}
  terminationGracePeriodSeconds: {{ toJson .terminationGracePeriodSeconds }}
  serviceAccountName: {{ include "sunset.serviceAccountName" $root }}
  automountServiceAccountToken: {{ .serviceAccount.automountServiceAccountToken }}
  enableServiceLinks: false
  securityContext:
    {{- toYaml .podSecurityContext | nindent 4 }}
  {{- with .imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .extraInitContainers }}
  initContainers:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: sunset
      image: {{ include "sunset.image" $root }}
      imagePullPolicy: {{ .image.pullPolicy }}
      command: [sunset]
      args:
        {{- toYaml $.arguments | nindent 8 }}
      env:
        - name: SUNSET_JOBS
          value: /etc/sunset
        {{- with $digest }}
        - name: SUNSET_RULES_DIGEST
          value: {{ . | quote }}
        {{- end }}
        {{- if $.group }}
        # the pods of one Job, and those that take their places, are one run in reports
        - name: SUNSET_GROUP
          valueFrom: {fieldRef: {fieldPath: "metadata.labels['job-name']"}}
        {{- end }}
        {{- with .metrics.pushgateway.url }}
        - name: SUNSET_PUSHGATEWAY
          value: {{ . | quote }}
        {{- end }}
        {{- with .metrics.otlp }}
        {{- if .endpoint }}
        - name: OTEL_EXPORTER_OTLP_ENDPOINT
          value: {{ .endpoint | quote }}
        {{- with .headers.existingSecret }}
        - name: OTEL_EXPORTER_OTLP_HEADERS
          valueFrom: {secretKeyRef: {name: {{ . }}, key: {{ $root.Values.metrics.otlp.headers.key }}}}
        {{- end }}
        {{- end }}
        {{- end }}
        {{- if .caBundle.existingConfigMap }}
        - name: SSL_CERT_DIR
          value: /etc/ssl/certs
        - name: SSL_CERT_FILE
          value: /run/sunset/ca/{{ .caBundle.key }}
        {{- end }}
        {{- with .extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- with .extraEnvFrom }}
      envFrom:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- if $.serve }}
      ports:
        - {name: http, containerPort: {{ toJson .deployment.port }}, protocol: TCP}
      livenessProbe:
        httpGet: {path: /healthz, port: http}
        {{- toYaml .deployment.livenessProbe | nindent 8 }}
      readinessProbe:
        httpGet: {path: /readyz, port: http}
        {{- toYaml .deployment.readinessProbe | nindent 8 }}
      {{- end }}
      {{- with .resources }}
      resources:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      securityContext:
        {{- toYaml .containerSecurityContext | nindent 8 }}
      volumeMounts:
        - {name: settings, mountPath: /etc/sunset/sunset.yaml, subPath: sunset.yaml, readOnly: true}
        - {name: rules, mountPath: /etc/sunset/rules, readOnly: true}
        {{- if .recipes.files }}
        - {name: recipes, mountPath: /etc/sunset/recipes, readOnly: true}
        {{- end }}
        - {name: tmp, mountPath: /tmp}
        {{- range $name, $secret := .secrets }}
        - {name: secret-{{ $name }}, mountPath: /run/secrets/sunset/{{ $name }}, readOnly: true}
        {{- end }}
        {{- if $.serve }}
        - {name: token, mountPath: /run/sunset/token, readOnly: true}
        {{- end }}
        {{- if .caBundle.existingConfigMap }}
        - {name: ca, mountPath: /run/sunset/ca, readOnly: true}
        {{- end }}
        {{- with .extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    - name: settings
      configMap: {name: {{ include "sunset.settingsConfigMap" $root }}}
    - name: rules
      configMap: {name: {{ include "sunset.rulesConfigMap" $root }}}
    {{- if .recipes.files }}
    - name: recipes
      configMap: {name: {{ include "sunset.recipesConfigMap" $root }}}
    {{- end }}
    - name: tmp
      emptyDir: {sizeLimit: 64Mi}
    {{- range $name, $secret := .secrets }}
    - name: secret-{{ $name }}
      secret: {secretName: {{ include "sunset.secretName" (dict "root" $root "name" $name "secret" $secret) }}, defaultMode: 288}
    {{- end }}
    {{- if $.serve }}
    - name: token
      secret: {secretName: {{ .deployment.token.existingSecret }}, defaultMode: 288}
    {{- end }}
    {{- with .caBundle.existingConfigMap }}
    - name: ca
      configMap: {name: {{ . }}}
    {{- end }}
    {{- with .extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- range $key := list "nodeSelector" "tolerations" "affinity" "topologySpreadConstraints" "hostAliases" "dnsConfig" }}
  {{- with get $root.Values $key }}
  {{ $key }}:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- end }}
  {{- with .priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with .runtimeClassName }}
  runtimeClassName: {{ . }}
  {{- end }}
{{- end }}
{{- end -}}
