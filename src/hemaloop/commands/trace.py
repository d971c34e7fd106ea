"""hemaloop trace: from a prediction back to uploads, from an upload forward to devices, from a model both ways."""

import argparse
from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hemaloop.config import Settings
    from hemaloop.ingest.fleet.table import Prediction, Ran
    from tasks.tracing import ModelTrace, PredictionTrace, UploadTrace


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("trace", help="from a prediction back to uploads, from an upload forward to devices")
    actions = parser.add_subparsers(metavar="WHAT", required=True)
    prediction = actions.add_parser("prediction", help="from an answer to its model, its images and their devices")
    prediction.add_argument("device", metavar="DEVICE")
    prediction.add_argument("capture", metavar="CAPTURE", help="its name, or its upload's key")
    prediction.set_defaults(run=trace_prediction)
    upload = actions.add_parser("upload", help="from an upload to the models trained with it, and who ran them")
    upload.add_argument("key", metavar="KEY", help="uploads/<device>/<yyyy>/<mm>/<dd>/<capture>.jpg")
    upload.set_defaults(run=trace_upload)
    model = actions.add_parser("model", help="from a version back to its images, and forward to its devices")
    model.add_argument("version", metavar="VERSION", type=int)
    model.set_defaults(run=trace_model)
    for action in (prediction, upload, model):
        action.add_argument("--json", action="store_true", help="everything, as JSON")
    for action in (prediction, model):
        action.add_argument("--images", action="store_true", help="name each image, and do not only count them")


def trace_prediction(args: argparse.Namespace) -> int:
    from tasks.tracing import trace_predictions

    def print_all(found: "tuple[PredictionTrace, ...]") -> None:
        for each in found:
            _print_prediction(each, args.images)

    return _trace(args, lambda settings: trace_predictions(settings, args.device, args.capture), print_all)


def trace_upload(args: argparse.Namespace) -> int:
    from tasks.tracing import trace_upload

    return _trace(args, lambda settings: trace_upload(settings, args.key), _print_upload)


def trace_model(args: argparse.Namespace) -> int:
    from tasks.tracing import trace_model

    return _trace(
        args, lambda settings: trace_model(settings, args.version), lambda found: _print_model(found, args.images)
    )


def _trace(args: argparse.Namespace, find: "Callable[[Settings], Any]", show: Callable[[Any], None]) -> int:
    from hemaloop.config import read_settings
    from hemaloop.protocol.documents import encode

    found = find(read_settings())
    if args.json:
        print(encode(found).decode())
    else:
        show(found)
    return 0


def _print_prediction(found: "PredictionTrace", images: bool) -> None:
    from hemaloop.commands.why import lines

    print(_answer(found.prediction))
    for trace in found.upload:
        print("\n".join(f"  {line}" for line in lines(trace)))
    if not found.upload:
        print("  the ledger has no upload of it")
    _print_model(found.model, images)


def _print_upload(found: "UploadTrace") -> None:
    from hemaloop.commands.why import lines

    for trace in found.upload:
        print("\n".join(lines(trace)))
    for prediction in found.predictions:
        print(_answer(prediction))
    for model in found.models:
        print(f"version {model.version}, dataset revision {model.revision}: it is on side {model.side} there")
        _print_devices(model.ran)
    if not found.models:
        print("no registered model's dataset revision holds it")


def _print_model(found: "ModelTrace", images: bool) -> None:
    named = f" ({', '.join(found.aliases)})" if found.aliases else ""
    print(f"version {found.version}{named}")
    if found.run is None:
        print("  MLflow knows no such version: what it was trained on cannot be told")
    else:
        print(f"  MLflow run {found.run}\n  dataset revision {found.revision}")
    for batch in found.batches:
        held = [image for image in found.images if image.batch == batch.id]
        print(
            f"  batch {batch.id}, added by {batch.commit or 'a commit that was replaced'}: {len(held)} labelled images"
        )
        print(
            f"    sides: {_counted(image.side for image in held)}; devices: {_counted(image.device for image in held)}"
        )
        for image in held if images else ():
            print(f"    {image.side:<10} {image.label:<12} {image.upload}")
    _print_devices(found.ran)


def _print_devices(ran: "tuple[Ran, ...]") -> None:
    for each in ran:
        print(
            f"  ran on {each.device}, {each.first:%Y-%m-%d %H} h to {each.last:%Y-%m-%d %H} h UTC: {each.images} images"
        )
    if not ran:
        print("  no device has reported to run it")


def _answer(prediction: "Prediction") -> str:
    said = f"{prediction.label}, {prediction.probability:.3f}"
    return f"{prediction.device} answered to {prediction.capture}: {said}, by version {prediction.version}"


def _counted(names: Iterable[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(Counter(names).items()))
