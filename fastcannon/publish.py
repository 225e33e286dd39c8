"""The catalogues of a run: a Parquet partition for each part, then one FITS file."""

from . import parts
from .catalogue import columns
from .catalogue_files import write_catalogue
from .digests import digest, file_digest
from .runfolder import settings


def write_catalogues(config, folder, made, calibrated, labels, joined, say, bar, run):
    """Write a catalogue for each scale: Parquet partitions, then one FITS file.

    Returns
    -------
    dict of str to dict
        Of each scale, for each survey the counts of `parts.counts_of`.
    """
    scales = {}
    for case, one in zip(made, calibrated, strict=True):
        path = folder.made("calibration", f"{case.name}.json")
        scales[case.name] = str(path), parts.write_scale(path, one.scale)
    found = {}
    for scale in config.pair():
        name = f"{scale.name}-scaled"
        own = [case for case in made if case.scale == scale.name]
        tasks = {
            case.survey: _partitions(config, folder, case, labels, joined, scales)
            for case in own
        }
        counts = _write_partitions(tasks, bar, run)
        path = folder.path / "catalogues" / f"{name}.fits"
        paths = [task.path for case in own for task in tasks[case.survey]]
        header = _provenance(config, own, counts)
        write_catalogue(path, paths, columns(config.labels.names), header)
        found[name] = counts
        rows = sum(one["rows"] for one in counts.values())
        good = sum(one["clean"] for one in counts.values())
        say(f"{path}: {rows:,} stars, {good:,} of them clean")
    return found


def _partitions(config, folder, case, labels, joined, scales):
    """Return the tasks that write a case's rows."""
    facts = {
        "case": case.name,
        "configuration": digest(settings(config)),
        "model": file_digest(case.model),
        "calibration": scales[case.name][1],
    }
    tasks = []
    pairs = zip(joined[case.survey].paths, labels[case.name], strict=True)
    for number, (stars, path) in enumerate(pairs):
        out = folder.made(
            f"catalogues/{case.scale}-scaled", f"{case.survey}-{number:05d}.parquet"
        )
        made_from = {"stars": file_digest(stars), "labels": file_digest(path)}
        tasks.append(
            parts.Partition(
                *(str(stars), str(path), scales[case.name], str(out), facts | made_from)
            )
        )
    return tasks


def _write_partitions(tasks, bar, run):
    """Write the partitions that are not finished; return the counts of each survey."""
    counts = {}
    for survey, own in tasks.items():
        kept = [parts.finished_partition(task) for task in own]
        todo = [task for task, one in zip(own, kept, strict=True) if one is None]
        with bar(len(own), "parts") as progress:
            progress.update(len(own) - len(todo))
            new = run(parts.catalogue_part, todo, lambda task: progress.update(1))
        done = [one for one in kept if one is not None] + new
        counts[survey] = parts.add_counts(done)
    return counts


def _provenance(config, own, counts):
    """Return the primary header of a catalogue."""
    from . import __version__

    header = {
        "WRITER": (f"fastcannon {__version__}", "what wrote the file"),
        "CONFIG": (digest(settings(config)), "digest of all settings"),
        "SCALE": (own[0].scale, "survey whose scale the labels are on"),
    }
    for number, case in enumerate(own):
        count = counts[case.survey]
        header |= {
            f"SURVEY{number}": (case.survey, "spectra of this survey"),
            f"MODEL{number}": (file_digest(case.model), "digest of its model"),
            f"ROWS{number}": (count["rows"], "its rows"),
            f"CLEAN{number}": (count["clean"], "of them clean"),
            f"FORMAL{number}": (
                count["FORMAL_ERRORS"] > 0,
                "errors of some label are formal",
            ),
        }
    return header
