{{- define "sunset.name" -}}
{{- default .Chart.Name .Values.nameOverride -}}
{{- end -}}

{{- define "sunset.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains (include "sunset.name" .) .Release.Name -}}
{{- .Release.Name -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "sunset.name" .) -}}
{{- end -}}
{{- end -}}

{{- /* What selects pods. Never more: a selector cannot be changed. */ -}}
{{- define "sunset.selector" -}}
app.kubernetes.io/name: {{ include "sunset.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "sunset.labels" -}}
{{ include "sunset.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "sunset.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "sunset.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "sunset.image" -}}
{{- with .Values.image -}}
{{- with .registry }}{{ . }}/{{ end }}{{ .repository -}}
{{- if .digest }}@{{ .digest }}{{ else }}:{{ default $.Chart.AppVersion .tag }}{{ end -}}
{{- end -}}
{{- end -}}

{{- define "sunset.settingsConfigMap" -}}
{{- default (printf "%s-settings" (include "sunset.fullname" .)) .Values.settings.existingConfigMap -}}
{{- end -}}

{{- define "sunset.rulesConfigMap" -}}
{{- default (printf "%s-rules" (include "sunset.fullname" .)) .Values.rules.existingConfigMap -}}
{{- end -}}

{{- define "sunset.recipesConfigMap" -}}
{{- printf "%s-recipes" (include "sunset.fullname" .) -}}
{{- end -}}

{{- /* The name of the Secret behind an entry of `secrets`. */ -}}
{{- define "sunset.secretName" -}}
{{- default (printf "%s-%s" (include "sunset.fullname" .root) .name) .secret.existingSecret -}}
{{- end -}}

{{- /* What `sunset --rules-digest` expects: SHA-256 over the lines of sha256sum. Empty where the chart does not know the
files. */ -}}
{{- define "sunset.rulesDigest" -}}
{{- if and .Values.rules.verifyDigest .Values.settings.text .Values.rules.files -}}
{{- $lines := list -}}
{{- range $name, $text := .Values.recipes.files -}}
{{- $lines = append $lines (printf "%s  recipes/%s\n" (sha256sum $text) $name) -}}
{{- end -}}
{{- range $name, $text := .Values.rules.files -}}
{{- $lines = append $lines (printf "%s  rules/%s\n" (sha256sum $text) $name) -}}
{{- end -}}
{{- $lines = append $lines (printf "%s  sunset.yaml\n" (sha256sum .Values.settings.text)) -}}
{{- join "" $lines | sha256sum -}}
{{- end -}}
{{- end -}}

{{- /* The first value of `key` among `maps` that is there and not null, as JSON: `false` and 0 count, and a number stays an
integer however large it is. */ -}}
{{- define "sunset.pick" -}}
{{- $found := false -}}
{{- range .maps -}}
{{- if and (not $found) (hasKey . $.key) (not (kindIs "invalid" (get . $.key))) -}}
{{- $found = true -}}
{{- get . $.key | toJson -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "sunset.cronJobName" -}}
{{- $name := printf "%s-%s" (include "sunset.fullname" .root) .name -}}
{{- if gt (len $name) 52 -}}
{{- fail (printf "the CronJob's name %q has %d characters, 52 are allowed: shorten the release's or the schedule's name, or set fullnameOverride" $name (len $name)) -}}
{{- end -}}
{{- $name -}}
{{- end -}}

{{- /* How long a run begins batches: as it is said, or until a minute before SIGTERM would have to come. Settings that the
chart cannot read may have a time of their own, which must not be overridden. */ -}}
{{- define "sunset.runTime" -}}
{{- $values := .root.Values -}}
{{- if $values.run.for -}}
{{- $values.run.for -}}
{{- else if $values.settings.text -}}
{{- $pace := (fromYaml $values.settings.text).pace -}}
{{- if not (hasKey (default dict $pace) "run_time") -}}
{{- $active := include "sunset.pick" (dict "key" "activeDeadlineSeconds" "maps" (list .schedule $values.job)) | int64 -}}
{{- printf "%ds" (sub $active (add 60 (int64 $values.terminationGracePeriodSeconds))) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* What only several values together can get wrong. */ -}}
{{- define "sunset.check" -}}
{{- with .Values -}}
{{- if and (not .settings.text) (not .settings.existingConfigMap) -}}
{{- fail "there are no settings: give settings.text (--set-file settings.text=sunset.yaml) or settings.existingConfigMap" -}}
{{- end -}}
{{- if and .settings.text .settings.existingConfigMap -}}
{{- fail "settings.text and settings.existingConfigMap: give one of them" -}}
{{- end -}}
{{- if and (not .rules.files) (not .rules.existingConfigMap) -}}
{{- fail "there are no rules: give rules.files (--set-file 'rules.files.customers\\.yaml=rules/customers.yaml') or rules.existingConfigMap" -}}
{{- end -}}
{{- if and .rules.files .rules.existingConfigMap -}}
{{- fail "rules.files and rules.existingConfigMap: give one of them" -}}
{{- end -}}
{{- if .settings.text -}}
{{- $settings := fromYaml .settings.text -}}
{{- if hasKey $settings "Error" -}}
{{- fail (printf "settings.text is not YAML: %s" $settings.Error) -}}
{{- end -}}
{{- $store := default dict $settings.store -}}
{{- if not (or $store.url (hasPrefix "/" (default "" $store.path))) -}}
{{- fail "settings.text keeps its ledger in the pod, where it is lost: give `store: {url: …}` (PostgreSQL), or an absolute path on a volume" -}}
{{- end -}}
{{- end -}}
{{- if eq .mode "deployment" -}}
{{- if .dryRun -}}
{{- fail "mode deployment runs what is due: set dryRun to false, or plan with mode cronjob first" -}}
{{- end -}}
{{- if not .deployment.token.existingSecret -}}
{{- fail "mode deployment needs deployment.token.existingSecret: metrics and pages are not served on a network without a token" -}}
{{- end -}}
{{- end -}}
{{- if and .metrics.podMonitor.enabled (ne .mode "deployment") -}}
{{- fail "metrics.podMonitor needs mode deployment: the pods of a CronJob are gone before they are scraped; use metrics.otlp or metrics.pushgateway" -}}
{{- end -}}
{{- range $name, $schedule := .schedules -}}
{{- $active := include "sunset.pick" (dict "key" "activeDeadlineSeconds" "maps" (list $schedule $.Values.job)) | int64 -}}
{{- if lt $active (add 120 (int64 $.Values.terminationGracePeriodSeconds)) -}}
{{- fail (printf "schedule %s: activeDeadlineSeconds (%d) must be at least two minutes longer than terminationGracePeriodSeconds (%d)" $name $active (int64 $.Values.terminationGracePeriodSeconds)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
