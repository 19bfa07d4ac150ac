# What no schema says: how the parts of a manifest have to fit together. `policy.py` asks for `deny` with each manifest.
package chart

import rego.v1

job := input.spec.jobTemplate.spec if input.kind == "CronJob"

pod := job.template if input.kind == "CronJob"

pod := input.spec.template if input.kind == "Deployment"

pod := input if input.kind == "Pod"

containers := array.concat(pod.spec.containers, object.get(pod.spec, "initContainers", []))

# --- CronJob
deny contains "concurrencyPolicy is not Forbid" if { input.kind == "CronJob"; not input.spec.concurrencyPolicy == "Forbid" }

deny contains "the name is longer than 52" if { input.kind == "CronJob"; count(input.metadata.name) > 52 }

deny contains "the schedule has a time zone" if { input.kind == "CronJob"; contains(input.spec.schedule, "TZ=") }

deny contains "there is no timeZone" if { input.kind == "CronJob"; not input.spec.timeZone }

deny contains "startingDeadlineSeconds is missing or below 10" if { input.kind == "CronJob"; not input.spec.startingDeadlineSeconds >= 10 }

# --- Job
deny contains "there is no activeDeadlineSeconds" if { job; not job.activeDeadlineSeconds }

deny contains "the grace period is as long as the deadline" if { job; job.activeDeadlineSeconds <= pod.spec.terminationGracePeriodSeconds }

deny contains "restartPolicy is not Never" if { job; not pod.spec.restartPolicy == "Never" }

deny contains "there is no podFailurePolicy" if { job; not job.podFailurePolicy }

deny contains "the first failure rule does not ignore disruptions" if { job; not ignores_disruptions(job.podFailurePolicy.rules[0]) }

ignores_disruptions(rule) if { rule.action == "Ignore"; some c in rule.onPodConditions; c.type == "DisruptionTarget"; c.status == "True" }

deny contains "exit code 0 in a failure rule" if { some rule in job.podFailurePolicy.rules; 0 in rule.onExitCodes.values }

deny contains "a failure rule names a container that is not there" if {
	some rule in job.podFailurePolicy.rules
	rule.onExitCodes
	not rule.onExitCodes.containerName in {c.name | some c in containers}
}

deny contains "a failure rule names a condition without its status" if {
	some rule in job.podFailurePolicy.rules
	some condition in rule.onPodConditions
	not condition.status
}

deny contains "FailIndex without backoffLimitPerIndex" if {
	some rule in job.podFailurePolicy.rules
	rule.action == "FailIndex"
	not is_number(job.backoffLimitPerIndex)
}

deny contains "several pods without completionMode Indexed" if { job.completions > 1; not job.completionMode == "Indexed" }

# --- Pod
deny contains "the service account's token is mounted" if { pod; not pod.spec.automountServiceAccountToken == false }

deny contains "no user other than root is asked for" if { pod; not pod.spec.securityContext.runAsNonRoot == true }

deny contains "the runtime's seccomp profile is not asked for" if { pod; not pod.spec.securityContext.seccompProfile.type in {"RuntimeDefault", "Localhost"} }

deny contains sprintf("container %s is not restricted", [c.name]) if { some c in containers; not restricted(c) }

restricted(c) if {
	c.securityContext.allowPrivilegeEscalation == false
	c.securityContext.readOnlyRootFilesystem == true
	c.securityContext.capabilities == {"drop": ["ALL"]}
}

deny contains sprintf("container %s has no limit of memory", [c.name]) if { some c in containers; not c.resources.limits.memory }

deny contains sprintf("container %s mounts %s, which is no volume", [c.name, mount.name]) if {
	some c in containers
	some mount in c.volumeMounts
	not mount.name in {v.name | some v in pod.spec.volumes}
}

deny contains sprintf("volume %s reaches into the node", [v.name]) if { some v in pod.spec.volumes; v.hostPath }

deny contains sprintf("the secret in variable %s", [e.name]) if {
	some c in containers
	some e in c.env
	regex.match(`(?i)(password|secret|token|_url)`, e.name)
	not startswith(e.name, "OTEL_")
	e.value
}

# --- every object
deny contains sprintf("label %s is missing", [label]) if {
	some label in ["app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/managed-by"]
	not input.metadata.labels[label]
}

deny contains "a pod that no network policy selects" if { pod; not pod.metadata.labels["app.kubernetes.io/instance"] }

deny contains "a pod without a component could be selected by another's selector" if { pod; not pod.metadata.labels["app.kubernetes.io/component"] }

deny contains "the namespace is missing" if not input.metadata.namespace

# --- Deployment
deny contains sprintf("the scheduler has no %s", [probe]) if {
	input.kind == "Deployment"
	some probe in ["livenessProbe", "readinessProbe"]
	not pod.spec.containers[0][probe].httpGet
}
