import CoreML
import SwiftUI

/// The exported model, in Core ML.
struct Reader {
    /// The sides of an image, in pixels.
    static let side = 8
    let model: MLModel

    init() throws {
        guard let place = Bundle.main.url(forResource: "digits", withExtension: "mlmodelc") else {
            throw CocoaError(.fileNoSuchFile)
        }
        model = try MLModel(contentsOf: place)
    }

    /// The most likely digit and its share. `ink` is `side` rows of `side` numbers, from 0 to 1.
    func read(_ ink: [Float]) throws -> (digit: Int, share: Float) {
        let shape = [1, Reader.side, Reader.side, 1].map { NSNumber(value: $0) }
        let image = try MLMultiArray(shape: shape, dataType: .float32)
        for (index, value) in ink.enumerated() { image[index] = NSNumber(value: value) }
        let inputs = try MLDictionaryFeatureProvider(dictionary: ["image": image])
        let outputs = try model.prediction(from: inputs)
        guard let shares = outputs.featureValue(for: "digit")?.multiArrayValue else {
            throw CocoaError(.fileReadCorruptFile)
        }
        let values = (0..<shares.count).map { shares[$0].floatValue }
        let best = values.indices.max { values[$0] < values[$1] } ?? 0
        return (best, values[best])
    }
}

/// A digit is drawn with a finger; what the model makes of it stands below. A new touch clears it.
struct Paper: View {
    let reader: Reader
    @State private var stroke: [CGPoint] = []
    @State private var answer = "Draw a digit"

    var body: some View {
        VStack {
            ink(side: 320).gesture(
                DragGesture(minimumDistance: 0)
                    .onChanged { stroke = $0.translation == .zero ? [$0.location] : stroke + [$0.location] }
                    .onEnded { _ in answer = read() })
            Text(answer).font(.largeTitle)
        }
    }

    private func ink(side: CGFloat) -> some View {
        Path { $0.addLines(stroke.map { CGPoint(x: $0.x * side / 320, y: $0.y * side / 320) }) }
            .stroke(.white, style: StrokeStyle(lineWidth: side / 9, lineCap: .round, lineJoin: .round))
            .frame(width: side, height: side)
            .background(.black)
    }

    @MainActor private func read() -> String {
        let side = Reader.side
        let renderer = ImageRenderer(content: ink(side: CGFloat(side)))
        renderer.scale = 1
        guard let image = renderer.cgImage else { return "No image" }
        var gray = [UInt8](repeating: 0, count: side * side)
        let context = CGContext(
            data: &gray, width: side, height: side, bitsPerComponent: 8, bytesPerRow: side,
            space: CGColorSpaceCreateDeviceGray(), bitmapInfo: CGImageAlphaInfo.none.rawValue)
        context?.draw(image, in: CGRect(x: 0, y: 0, width: side, height: side))
        do {
            let (digit, share) = try reader.read(gray.map { Float($0) / 255 })
            return "\(digit) (\(Int(100 * share)) %)"
        } catch {
            return error.localizedDescription
        }
    }
}

@main
struct Digits: App {
    private let reader = Result { try Reader() }

    var body: some Scene {
        WindowGroup {
            switch reader {
            case .success(let reader): Paper(reader: reader)
            case .failure(let error): Text(error.localizedDescription)
            }
        }
    }
}
