"""The job that sends the usage report to a webhook."""

from render import Object, of_kind


def job() -> Object:
    (found,) = [one for one in of_kind("report", "CronJob") if one["metadata"]["name"].endswith("-report")]
    return found


def rule_names(case: str) -> set[str]:
    rules = [r for one in of_kind(case, "PrometheusRule") for group in one["spec"]["groups"] for r in group["rules"]]
    return {rule["alert"] for rule in rules if "alert" in rule}


def test_there_is_no_report_unless_it_is_asked_for() -> None:
    assert not of_kind("default", "CronJob")
    assert "MoaReportFailed" not in rule_names("default")


def test_the_job_reports_the_day_before_and_its_secrets_are_references() -> None:
    spec = job()["spec"]
    assert (spec["schedule"], spec["timeZone"]) == ("15 0 * * *", "Etc/UTC")
    (container,) = spec["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert container["command"] == ["python", "-m", "serving.report"]
    arguments = ["day", "--previous", "--format=md", "--webhook-env=MOA_REPORT_WEBHOOK", "--budget-usd=4000"]
    assert container["args"] == arguments
    secrets = {one["name"]: one["valueFrom"]["secretKeyRef"] for one in container["env"] if "valueFrom" in one}
    assert secrets == {
        "MOA_DATABASE_URL": {"name": "records", "key": "url"},
        "MOA_REPORT_WEBHOOK": {"name": "chat", "key": "url"},
    }


def test_a_report_that_fails_is_tried_again_and_seen() -> None:
    spec = job()["spec"]
    assert spec["jobTemplate"]["spec"]["backoffLimit"] == 3
    assert spec["failedJobsHistoryLimit"] >= 1
    assert "MoaReportFailed" in rule_names("report")


def test_the_job_reaches_the_database_and_the_webhook_and_nothing_else() -> None:
    (policy,) = [p["spec"] for p in of_kind("report", "NetworkPolicy") if p["metadata"]["name"] == "moa-report"]
    labels = job()["spec"]["jobTemplate"]["spec"]["template"]["metadata"]["labels"]
    assert policy["podSelector"]["matchLabels"].items() <= labels.items()
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in policy
    ports = [port["port"] for rule in policy["egress"] for port in rule["ports"]]
    assert ports == [53, 53, 5432, 443]
